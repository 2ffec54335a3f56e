//go:build linux

package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

const healthAddr = "127.0.0.1:9469"

// from is an agent as in a DaemonSet, whose API server is s.
func from(s *apiSource) func(*enforce.Options) {
	return func(o *enforce.Options) {
		byKind(o)
		o.Source, o.HTTP = s, healthAddr
	}
}

// ask is what the agent says on HTTP; an error is no answer.
func ask(path string) (code int, body string, err error) {
	r, err := http.Get("http://" + healthAddr + path)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// health waits until the agent answers with the codes given.
func health(t testing.TB, alive, ready int) {
	t.Helper()
	for path, want := range map[string]int{"/healthz": alive, "/readyz": ready} {
		await(t, fmt.Sprintf("%s to be %d", path, want), func() bool {
			code, _, err := ask(path)
			return err == nil && code == want
		})
	}
}

// policedPods are a client and a server that has one port open to it, and a
// connection to a second one.
func (n *node) policedPods() (client, server *pod, live *link) {
	n.t.Helper()
	client, server = n.wireAs("calic", "client"), n.wireAs("calis", "server")
	n.manifest(client, nodeName, "")
	n.manifest(server, nodeName, "")
	n.podNets("10.65.0.0/24", "fd65::/64")
	n.policy("server", onlyAllowed)
	n.policy("live", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}, destination: {ports: [8080]}}]}`)
	l := n.listen(server, serverPort)
	return client, server, n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
}

// awaitLive waits until the agent knows a connection that is older.
func (a *agent) awaitLive(live *link) {
	a.t.Helper()
	live.alive(a.t, "older than the agent")
	await(a.t, "the agent to know the connection", func() bool {
		list := a.list(flow.Filter{Port: serverPort})
		return len(list) > 0 && list[0].Live == 1
	})
}

// An agent that is killed and starts again while the API server is out of
// reach keeps the rules and is not ready; when the API server comes back it
// goes on from there. Nothing opens and nothing is cut that is allowed.
func TestS31_RestartWhileTheAPIIsDown(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		former, cmd := n.startProcess(kindEnv + "=1")
		former.awaitLive(live)
		w := n.watch(client, server)
		w.sees(t, 100)
		n.must(cmd.Process.Kill())
		_ = cmd.Wait()
		w.sees(t, 100)

		api := n.apiSource()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- runAgent(ctx, n.dir, slog.New(slog.NewTextHandler(t.Output(), nil)), from(api)) }()
		health(t, http.StatusOK, http.StatusServiceUnavailable)
		w.sees(t, 300)
		live.alive(t, "while the API is down")
		if _, body, err := ask("/readyz"); err != nil || !strings.Contains(body, "first full sync") {
			t.Errorf("not ready since %q, %v", body, err)
		}
		api.tell()
		health(t, http.StatusOK, http.StatusOK)
		w.sees(t, 300)
		w.stop(t)
		a := n.connect(func() {})
		live.alive(t, "when the API is back")
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d connections cut, want none", s.CutConnections)
		}
		a.agreed()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// An agent gives way to the next version, as a DaemonSet replaces it: what
// became forbidden between the two is cut, what is allowed goes on.
func TestUpgradeLeavesNoGap(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		a.awaitLive(live)
		kept := n.udp(server, client, 0, 5353)
		kept.alive(t, "before")
		w := n.watch(client, server)
		for range 2 {
			a.stop()
			w.sees(t, 50)
			if _, _, err := ask("/healthz"); err == nil {
				t.Error("the agent before still answers")
			}
			a = n.start(from(api))
			w.sees(t, 50)
		}
		live.alive(t, "allowed all the time")
		a.stop()
		n.remove("live")
		api.tell()
		a = n.start(from(api))
		await(t, "the connection forbidden meanwhile to be cut", func() bool { return a.status().CutConnections == 1 })
		live.dead(t, "forbidden while no agent ran")
		kept.alive(t, "allowed all the time")
		w.stop(t)
		a.agreed()
	})
}

// While the API server is out of reach the rules stay, and so does the agent's
// readiness; what was changed meanwhile comes when it is back.
func TestAPIOutage(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		a.awaitLive(live)
		w := n.watch(client, server)
		n.remove("live") // which nobody can tell of
		w.sees(t, 500)
		health(t, http.StatusOK, http.StatusOK)
		live.alive(t, "during the outage")
		version := api.tell()
		n.await(a, &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "live", Version: version, Deleted: true})
		await(t, "what is forbidden now to be cut", func() bool { return a.status().CutConnections == 1 })
		w.stop(t)
		a.agreed()
	})
}

// Await returns when a change is in the kernel, and not before.
func TestAwaitIsInTheKernel(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, _ := n.policedPods()
		api := n.apiSource()
		version := api.tell()
		a := n.start(from(api))
		change := &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "live", Version: version}
		n.await(a, change)
		next := fmt.Sprint(api.version + 1)
		change.Version = next
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := a.Await(short, &agentpb.AwaitRequest{Changes: []*agentpb.Written{change}}); err == nil {
			t.Error("a change that is still to come: no error")
		}
		for i := range 20 {
			port := uint16(9000 + i)
			n.policy("live", fmt.Sprintf(`{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [%d]}}]}`, port))
			waited := make(chan answer, 1)
			change := &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "live", Version: fmt.Sprint(api.version + 1)}
			go func() {
				if _, err := a.Await(t.Context(), &agentpb.AwaitRequest{Changes: []*agentpb.Written{change}}); err != nil {
					waited <- answer(err.Error())
					return
				}
				waited <- a.try(client, server, i%2, port)
			}()
			api.tell()
			if got := <-waited; got != closed {
				t.Fatalf("after Await: %s, want %s", got, closed)
			}
		}
		// What makes no difference to any verdict is in force as soon as it is told.
		n.await(a, &agentpb.Written{Kind: "Pod", Namespace: namespace, Name: "client", Version: api.tell()})
		if _, err := a.Await(t.Context(), &agentpb.AwaitRequest{Changes: []*agentpb.Written{{}}}); err == nil {
			t.Error("a change without a name: no error")
		}
		a.agreed()
	})
}

// A pod speaks and is spoken to from the moment its interface is there; not
// one packet passes before its policy is known, and none that it forbids after.
func TestS31_PodCreation(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		server := n.wireAs("calis", "server")
		n.manifest(server, nodeName, "")
		n.podNets("10.65.0.0/24", "fd65::/64")
		n.policy("young", `{selector: app == 'young', types: [Ingress, Egress], egress: [{action: Allow, protocol: UDP, destination: {ports: [8080]}}]}`)
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		allowed, forbidden := n.hears(server, serverPort), n.hears(server, forbiddenPort)
		for i := range 5 {
			n.pods = 10 + i
			young := n.wireAs(fmt.Sprintf("veth%08x", i), "young")
			own := n.hears(young, serverPort)
			stop := make(chan struct{})
			speaking := make(chan error, 2)
			go func() {
				speaking <- young.Do(func() error { return n.speak(stop, young, server, serverPort, forbiddenPort) })
			}()
			go func() {
				speaking <- server.Do(func() error { return n.speak(stop, server, young, serverPort, forbiddenPort) })
			}()
			time.Sleep(20 * time.Millisecond)
			if got := allowed(); got != 0 {
				t.Errorf("%d packets of a pod that nobody knows", got)
			}
			n.manifest(young, nodeName, "")
			api.tell()
			await(t, "what the pod may say", func() bool { return allowed() > 0 })
			time.Sleep(20 * time.Millisecond)
			close(stop)
			n.must(errors.Join(<-speaking, <-speaking))
			if got := forbidden(); got != 0 {
				t.Errorf("%d packets that are forbidden", got)
			}
			if got := own(); got != 0 {
				t.Errorf("%d packets to the pod, which may have none", got)
			}
			n.remove("pod-young")
			api.tell()
			n.must(delLink(young.iface))
			await(t, "silence", func() bool { return allowed() == 0 })
		}
		a.agreed()
	})
}

// speak says a word by UDP to both ports, on both families, again and again.
func (n *node) speak(stop chan struct{}, from, to *pod, ports ...uint16) error {
	for i := 0; ; i++ {
		select {
		case <-stop:
			return nil
		default:
		}
		for family := range 2 {
			for _, port := range ports {
				fd, err := openHere(unix.IPPROTO_UDP, netip.AddrPortFrom(from.addrs[family], 0), netip.AddrPortFrom(to.addrs[family], port))
				if err == nil {
					_ = unix.Close(fd)
				} else if !errors.Is(err, unix.ECONNREFUSED) && !errors.Is(err, unix.EPERM) {
					return err
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// hears is how many packets came to a UDP port since it was asked last.
func (n *node) hears(p *pod, port uint16) func() int {
	n.t.Helper()
	var ears [2]net.PacketConn
	for family := range ears {
		n.must(p.Do(func() (err error) {
			ears[family], err = net.ListenPacket("udp", netip.AddrPortFrom(p.addrs[family], port).String())
			return err
		}))
		n.t.Cleanup(func() { _ = ears[family].Close() })
	}
	return func() (count int) {
		for _, ear := range ears {
			for buf := make([]byte, 64); ; count++ {
				_ = ear.SetReadDeadline(time.Now().Add(time.Millisecond))
				if _, _, err := ear.ReadFrom(buf); err != nil {
					break
				}
			}
		}
		return count
	}
}

// await returns when the agent says that a change is in force.
func (n *node) await(a *agent, c *agentpb.Written) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	if _, err := a.Await(ctx, &agentpb.AwaitRequest{Changes: []*agentpb.Written{c}}); err != nil {
		n.t.Fatalf("await %v: %v", c, err)
	}
}

func delLink(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// A former agent's port may be taken for a moment longer.
func TestWaitsForTheHealthPort(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.podNets("10.65.0.0/24")
		api := n.apiSource()
		api.tell()
		taken, err := net.Listen("tcp", healthAddr)
		n.must(err)
		h := &heard{word: "waiting for a former agent"}
		go func() {
			for !h.yes.Load() && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = taken.Close()
		}()
		n.start(func(o *enforce.Options) {
			from(api)(o)
			o.Log = slog.New(slog.NewTextHandler(h, nil))
		})
		health(t, http.StatusOK, http.StatusOK)
	})
}
