//go:build linux

package enforce_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
)

// The table of a living agent stays, also where the kernel does not know whose
// it is, as before 6.9.
func TestCleanupSparesALivingAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listen(server, serverPort)
		n.policy("server", shut8080)
		// A table without an owner can't be given one.
		k, err := nft.Open(nft.Options{NoOwner: true})
		n.must(err)
		n.must(k.Close())
		a := n.start(nil)
		if removed, err := enforce.Cleanup(); !errors.Is(err, nft.ErrInUse) || len(removed) > 0 {
			t.Errorf("beside an agent: %q, %v, want %v", removed, err, nft.ErrInUse)
		}
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("after that: %s, want %s", got, denied)
		}
		if s := a.status(); s.Repairs > 0 {
			t.Errorf("%d repairs, want none", s.Repairs)
		}
		a.stop()
		if removed, err := enforce.Cleanup(); err != nil || !slices.Equal(removed, []string{"inet netpol"}) {
			t.Errorf("without an agent: %q, %v", removed, err)
		}
		if removed, err := enforce.Cleanup(); err != nil || len(removed) > 0 {
			t.Errorf("again: %q, %v", removed, err)
		}
	})
}
