package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/netnstest"
)

const manifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: web}
  ports:
    - port: 80
      nodePort: 30080
      targetPort: http
---
apiVersion: v1
kind: Service
metadata: {name: nobody, namespace: shop}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: nobody}
  ports:
    - port: 80
---
apiVersion: v1
kind: Pod
metadata:
  name: alone
  namespace: shop
  labels: {app: alone}
spec:
  containers: [{name: alone, image: alone, ports: [{containerPort: 8080}]}]
---
apiVersion: v1
kind: Service
metadata: {name: alone, namespace: shop}
spec:
  ipFamilyPolicy: PreferDualStack
  selector: {app: alone}
  ports:
    - port: 80
      targetPort: 8080
`

// lab is a network with a server in every pod of the namespace shop that says
// its pod's name and whom it speaks to.
type lab struct {
	*Network
	plan *plan.Plan
}

func newLab(t *testing.T) *lab {
	t.Helper()
	r, err := plan.Build([]plan.File{{Name: "x.yaml", Given: "x.yaml", Data: []byte(manifest)}}, plan.Options{IPv6: true})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Build(&r.Plan, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	for _, p := range r.Plan.Pods {
		if p.Namespace == "shop" {
			serve(t, n.Pod(p.ID()), p.Name)
		}
	}
	return &lab{n, &r.Plan}
}

func serve(t *testing.T, ns *Namespace, name string) {
	t.Helper()
	var l net.Listener
	if err := ns.Do(func() (err error) { l, err = net.Listen("tcp", ":8080"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = fmt.Fprintf(c, "%s %s\n", name, netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().Unmap())
			_ = c.Close()
		}
	}()
}

// ask connects from a namespace and returns what the server says: its pod's
// name, and the address it sees.
func ask(t *testing.T, ns *Namespace, to netip.AddrPort) (pod, source string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var c net.Conn
	err = ns.Do(func() (err error) {
		var dialer net.Dialer
		c, err = dialer.DialContext(ctx, "tcp", to.String())
		return err
	})
	if err != nil {
		return "", "", err
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", "", err
	}
	pod, source, _ = strings.Cut(strings.TrimSpace(line), " ")
	return pod, source, nil
}

func (l *lab) pod(t *testing.T, name string) plan.Pod {
	t.Helper()
	i := slices.IndexFunc(l.plan.Pods, func(p plan.Pod) bool { return p.Workload.Name == name })
	if i < 0 {
		t.Fatalf("no pod of %s", name)
	}
	return l.plan.Pods[i]
}

func (l *lab) service(t *testing.T, name string, v6 bool) netip.Addr {
	t.Helper()
	i := slices.IndexFunc(l.plan.Services, func(s plan.Service) bool { return s.Name == name })
	if i < 0 || !l.plan.Services[i].Addr(v6).IsValid() {
		t.Fatalf("no Service %s with such an address", name)
	}
	return l.plan.Services[i].Addr(v6)
}

func TestNetwork(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
			t.Skip("this kernel has no IPv6")
		}
		l := newLab(t)
		for name, v6 := range map[string]bool{"IPv4": false, "IPv6": true} {
			t.Run(name, func(t *testing.T) { l.check(t, v6) })
		}
	})
}

func (l *lab) check(t *testing.T, v6 bool) {
	alone, web := l.pod(t, "alone"), l.pod(t, "web")
	outside := l.plan.Outside.Addrs[index(v6)].String()
	t.Run("PodToPodKeepsTheSource", func(t *testing.T) {
		pod, source, err := ask(t, l.Pod(alone.ID()), netip.AddrPortFrom(web.Addr(v6), 8080))
		if err != nil || pod != web.Name || source != alone.Addr(v6).String() {
			t.Errorf("%q %q %v", pod, source, err)
		}
	})
	t.Run("ServiceLeadsToAllItsPods", func(t *testing.T) {
		seen := map[string]bool{}
		for range 60 { // the odds that a pod of three is never picked: 3e-11
			pod, source, err := ask(t, l.Pod(alone.ID()), netip.AddrPortFrom(l.service(t, "web", v6), 80))
			if err != nil || source != alone.Addr(v6).String() {
				t.Fatalf("%q %q %v", pod, source, err)
			}
			seen[pod] = true
		}
		if len(seen) != 3 {
			t.Errorf("of three pods these were picked: %v", seen)
		}
	})
	t.Run("PodReachesItselfThroughItsService", func(t *testing.T) {
		pod, _, err := ask(t, l.Pod(alone.ID()), netip.AddrPortFrom(l.service(t, "alone", v6), 80))
		if err != nil || pod != alone.Name {
			t.Errorf("%q %v", pod, err)
		}
	})
	t.Run("OutsideReachesANodePort", func(t *testing.T) {
		_, source, err := ask(t, l.Outside(), netip.AddrPortFrom(l.plan.Node.Addrs[index(v6)], 30080))
		if err != nil || source != outside {
			t.Errorf("%q %v", source, err)
		}
	})
	t.Run("ServiceWithoutPodsAnswersAtOnce", func(t *testing.T) {
		_, _, err := ask(t, l.Pod(alone.ID()), netip.AddrPortFrom(l.service(t, "nobody", v6), 80))
		if !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("error %v, want that it is unreachable", err)
		}
	})
}

func index(v6 bool) int {
	if v6 {
		return 1
	}
	return 0
}
