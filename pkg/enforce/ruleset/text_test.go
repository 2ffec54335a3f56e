package ruleset

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

// votes is the workshop's application, policed.
func votes() *world {
	w := newWorld()
	w.namespace("vote")
	w.namespace("wordpress")
	w.pod("vote/db", "10.0.0.5 fd00::5", "app=db")
	w.pod("vote/worker", "10.0.0.6 fd00::6", "app=worker")
	w.pod("vote/result", "10.0.0.7 fd00::7", "app=result")
	w.remote("vote/vote", "10.0.1.8 fd00:0:0:1::8", "app=vote")
	w.pod("wordpress/wordpress", "10.0.0.9", "app=wordpress")
	w.policy("vote", "db", "app == 'db'", policy.Ingress,
		from(policy.Allow, "app == 'worker' || app == 'result'", policy.TCP, single(5432)))
	w.policy("vote", "vote", "app == 'worker'", policy.Egress,
		toward(policy.Allow, "app == 'db'", policy.TCP, single(5432)),
		toward(policy.Log, "", policy.UDP),
		policy.Rule{Action: policy.Allow, Destination: policy.Entity{Nets: nets("192.0.2.0/24")}, Protocol: policy.TCP},
		policy.Rule{Action: policy.Allow, Destination: policy.Entity{Nets: nets("2001:db8::/32")}},
		toward(policy.Deny, "app == 'vote'", 0))
	return w
}

// odd has what an ordinary application has not: port ranges, many kinds of
// refusal, nested nets, protocols without ports.
func odd() *world {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2 fd00::2", "app=x")
	for _, r := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		w.remote("a/peer"+r, "10.0.2."+r, "n="+r)
	}
	var rules []policy.Rule
	for i, r := range []string{"0", "1", "2", "3", "4", "5", "6", "7", "8"} {
		rules = append(rules, from(policy.Deny, "n == '"+r+"'", policy.TCP, single(uint16(100+i))))
	}
	for i := range 10 {
		w.remote(fmt.Sprintf("a/range%d", i), fmt.Sprintf("10.0.3.%d fd00::3:%d", i, i), fmt.Sprintf("r=%d", i))
		rules = append(rules, from(policy.Allow, fmt.Sprintf("r == '%d'", i), policy.TCP, policy.PortRange{Min: uint16(10 * i), Max: uint16(10*i + 5)}))
	}
	rules = append(rules,
		from(policy.Allow, "n == '9'", policy.UDP, policy.PortRange{Min: 1000, Max: 2000}),
		from(policy.Log, "n == '8'", policy.ICMP),
		policy.Rule{Action: policy.Deny, Source: policy.Entity{Nets: nets("198.51.100.128/25")}},
		policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: nets("198.51.100.0/24")}, NotProtocol: policy.UDP},
		policy.Rule{Action: policy.Allow, Source: policy.Entity{Nets: nets("203.0.113.0/24")}, Protocol: policy.SCTP,
			Destination: policy.Entity{Ports: []policy.PortRange{{Min: 5, Max: 9}, {Min: 99, Max: 99}}}},
		policy.Rule{Action: policy.Allow, IPVersion: 6, Protocol: policy.ICMPv6},
		policy.Rule{Action: policy.Allow, Protocol: policy.TCP, Destination: policy.Entity{NotPorts: []policy.PortRange{{Min: 0, Max: 1023}}}})
	w.policy("", "odd", "app == 'x'", policy.Ingress, rules...)
	return w
}

func TestTextGolden(t *testing.T) {
	for name, w := range goldens() {
		t.Run(name, func(t *testing.T) {
			got := Text(w.compile(t).Ruleset)
			file := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-want +got (go test -update rewrites it):\n%s", d)
			}
		})
	}
}

// The kernel's own tool takes the text, and the kernel what is made of it.
func TestTextIsNft(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("nft is not installed; the kernel's own test is in package nft")
	}
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("unshare is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), unshare, "-rn", nft, "list", "ruleset").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no network namespace: %v: %s", err, out)
		}
		t.Skipf("no network namespace here: %v: %s", err, out)
	}
	for name, w := range goldens() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), unshare, "-rn", "sh", "-ec", `"$0" -c -f "$1"; "$0" -f "$1"; "$0" list ruleset`, nft, "/dev/stdin")
			file := filepath.Join(t.TempDir(), "rules")
			if err := os.WriteFile(file, []byte(Text(w.compile(t).Ruleset)), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd.Args[len(cmd.Args)-1] = file
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v:\n%s", err, out)
			}
			if !strings.Contains(string(out), "chain from-pod") {
				t.Errorf("the list has no chain from-pod:\n%s", out)
			}
		})
	}
}
