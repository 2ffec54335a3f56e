//go:build linux

package ruleset_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// The kernel takes every golden ruleset over netlink, one after the other, and
// nft lists what it took and takes that back.
func TestKernelTakesGoldens(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		tool, err := exec.LookPath("nft")
		if err != nil {
			netnstest.Skip(t, "no nft binary to read the rules with")
		}
		node, other := netnstest.NewNS(t), netnstest.NewNS(t)
		k, err := nft.Open(nft.Options{NetNS: node.FD()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = k.Close() })
		run := func(ns *netnstest.NS, in string, args ...string) (out string) {
			ns.Must(t, func() error {
				cmd := exec.CommandContext(t.Context(), tool, args...)
				cmd.Stdin = strings.NewReader(in)
				b, err := cmd.CombinedOutput()
				if out = string(b); err != nil {
					t.Errorf("nft %v: %v\n%s", args, err, out)
				}
				return nil
			})
			return out
		}
		for name, compiled := range ruleset.Goldens(t) {
			t.Run(name, func(t *testing.T) {
				if err := k.Apply(t.Context(), compiled.Ruleset); err != nil {
					t.Fatal(err)
				}
				list := run(node, "", "list", "ruleset")
				if !strings.Contains(list, "chain from-pod") {
					t.Errorf("the listing has no chain from-pod:\n%s", list)
				}
				run(other, list, "-c", "-f", "-")
			})
		}
		if s := k.Stats(); s.Failed > 0 {
			t.Errorf("the kernel refused %d batches", s.Failed)
		}
	})
}
