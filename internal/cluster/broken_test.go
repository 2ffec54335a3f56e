//go:build unix

package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

const tierGuard = `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: guard}
spec: {order: 10, defaultAction: Pass}
`

const namespaceProd = `apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {env: prod}}
`

const networkSet = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: bad}
spec: {nets: [192.0.2.0/24, 198.51.100.0/24]}
`

// inForce is the policies, the order of tier guard and the label env of
// namespace a: what a verdict may depend on.
func inForce(s *policy.Snapshot) string {
	out := []string{policyNames(s)}
	for _, t := range s.Tiers {
		out = append(out, t.Name)
	}
	for _, ns := range s.Namespaces {
		if env := ns.Labels["env"]; env != "" {
			out = append(out, env)
		}
	}
	for _, set := range s.NetworkSets {
		for _, n := range set.Nets {
			out = append(out, n.String())
		}
	}
	return strings.Join(out, " ")
}

// TestDirKeepsSets: a set with a net that is not understood is as it was, since
// there are rules that allow by it and rules that deny by it.
func TestDirKeepsSets(t *testing.T) {
	d := tree(t, map[string]string{"set.yaml": networkSet})
	path := filepath.Join(d.root, "set.yaml")
	for _, c := range []struct{ old, now, want string }{
		{"192.0.2.0/24", "192.0.2.0/33", "192.0.2.0/24 198.51.100.0/24"},
		{"192.0.2.0/24, ", "", "198.51.100.0/24"},
		{"nets: [192.0.2.0/24, 198.51.100.0/24]", "net: [192.0.2.0/24]", "198.51.100.0/24"},
		{"spec: {", "", "198.51.100.0/24"},
		{networkSet, "# nothing\n", ""},
	} {
		put(t, path, strings.Replace(networkSet, c.old, c.now, 1))
		s, _, err := d.Snapshot(t.Context())
		if got := strings.TrimSpace(inForce(s)); err != nil || got != c.want {
			t.Errorf("%q: in force: %q, %v, want %q", c.now, got, err, c.want)
		}
	}
}

// TestDirKeepsServices: a Service with a port that is not understood is as it
// was, for the same reason.
func TestDirKeepsServices(t *testing.T) {
	const service = "apiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: a}\nspec: {selector: {app: db}, ports: [{port: 80}, {port: 81}]}\n"
	d := tree(t, map[string]string{"service.yaml": service})
	path := filepath.Join(d.root, "service.yaml")
	for _, c := range []struct {
		old, now string
		ports    int
	}{
		{"port: 81", "port: 81000", 2},
		{", {port: 81}", "", 1},
		{"kind: Service", "kind: [Service]", 1},
	} {
		put(t, path, strings.Replace(service, c.old, c.now, 1))
		s, _, err := d.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if svc := s.Service("a", "db"); svc == nil || len(svc.Ports) != c.ports {
			t.Errorf("%q: in force: %+v, want %d ports", c.now, svc, c.ports)
		}
	}
}

// TestDirKeepsWhatIsInForceOfASpoiltFile: nothing opens because a file is half
// written, unreadable or has a slip where it says what it is; what is removed
// on purpose goes.
func TestDirKeepsWhatIsInForceOfASpoiltFile(t *testing.T) {
	whole := np("one", 1) + "---\n" + np("two", 2) + "---\n" + tierGuard + "---\n" + namespaceProd
	spoil := func(old, now string) func(*testing.T, string) {
		return func(t *testing.T, path string) { put(t, path, strings.Replace(whole, old, now, 1)) }
	}
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, path string)
		faults bool
		want   string
	}{
		{"emptied by a shell", spoil(whole, "\n"), true, "one two guard prod"},
		{"namespace not parsed", spoil("labels: {env: prod}}", "labels: {env: prod"), true, "one two guard prod"},
		{"tier with a fault", spoil("order: 10", "order: ten"), true, "one two guard prod"},
		{"misspelt kind", spoil("kind: NetworkPolicy", "kind: NetworkPolcy"), true, "one two guard prod"},
		{"other version", spoil("projectcalico.org/v3\nkind: Tier", "projectcalico.org/v9\nkind: Tier"), true, "one two guard prod"},
		{"link to nothing", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("nowhere", path); err != nil {
				t.Fatal(err)
			}
		}, true, "one two guard prod"},
		{"a pipe in its place", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, true, "one two guard prod"},
		{"a kind misspelt beside one removed", func(t *testing.T, path string) {
			put(t, path, strings.Replace(np("one", 1), "NetworkPolicy", "NetworkPolcy", 1)+"---\n"+tierGuard)
		}, true, "one guard"},
		{"all but one removed", func(t *testing.T, path string) { put(t, path, np("two", 2)) }, false, "two"},
		{"file removed", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := tree(t, map[string]string{"all.yaml": whole})
			c.spoil(t, filepath.Join(d.root, "all.yaml"))
			for range 2 { // also when it is looked at again
				s, faults, err := d.Snapshot(t.Context())
				if err != nil || (len(faults) > 0) != c.faults {
					t.Errorf("%v, %v", faults, err)
				}
				if got := inForce(s); got != c.want {
					t.Errorf("in force: %q, want %q", got, c.want)
				}
			}
			put(t, filepath.Join(d.root, "all.yaml"), np("three", 3))
			if got := inForce(snapshot(t, d)); got != "three" {
				t.Errorf("mended: %q", got)
			}
		})
	}
}

// TestDirWatchReadsWhatBecameReadable: a file that nobody may read at first is
// read once that is mended, though its text does not change.
func TestDirWatchReadsWhatBecameReadable(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may read everything")
	}
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	path := filepath.Join(d.root, "two.yaml")
	put(t, path, np("two", 2))
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	ch, err := d.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := await(t, ch, "at once", named("one")); len(s.Faults) != 1 {
		t.Errorf("faults: %v", s.Faults)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	await(t, ch, "readable", named("one two"))
}

// TestDirReloadDoesNotWaitForEver: where no event comes of a file that is made
// in the directory, it is read all the same.
func TestDirReloadDoesNotWaitForEver(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	if _, err := d.Watch(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	err := d.watch.loop.events.Remove(d.root)
	d.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(d.root, "two.yaml"), np("two", 2))
	ctx, cancel := context.WithTimeout(t.Context(), 10*fenceLate+time.Second)
	defer cancel()
	s, _, err := d.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got := policyNames(s); got != "one two" {
		t.Errorf("in force: %s", got)
	}
}
