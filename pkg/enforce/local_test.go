//go:build linux

package enforce_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// An agent that takes no interface for a pod's, because it was told another
// prefix, must not say that it enforces.
func TestS31_WrongPrefixIsNotEnforcing(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.addPod("server")
		late := time.Now().Add(time.Hour)
		var seen atomic.Bool
		a := n.start(func(o *enforce.Options) {
			o.InterfacePrefix = "cali"
			o.Now = func() time.Time { // the pod is looked at now, and status asked an hour later
				if seen.Load() {
					return late
				}
				return time.Now()
			}
		})
		if s := a.status(); !s.Ready || !s.Enforcing {
			t.Fatalf("a pod may be without an interface for a moment; got %v", s)
		}
		seen.Store(true)
		s := a.status()
		if s.Enforcing || !strings.Contains(strings.Join(s.Problems, "\n"), "no route leads to it through an interface cali*") {
			t.Errorf("enforcing %v, problems %q", s.Enforcing, s.Problems)
		}
	})
}
