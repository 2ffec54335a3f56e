//go:build linux

package enforce_test

import (
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// An allowing policy and a default-deny that one command put on trial reach the
// agent one after the other. They go back in one moment: what is allowed before
// and on trial is never refused, though the allowing one was seen first.
func TestTrialsOfOneCommandEndInOneMoment(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		api, c := n.apiSource(), newClock(time.Hour)
		api.tell()
		a := n.start(func(o *enforce.Options) {
			o.Source = api
			enforce.SetClocks(o, c.since, nil)
		})
		expect := func(what string) {
			t.Helper()
			for family := range 2 {
				if got := a.try(client, server, family, serverPort); got != closed {
					t.Errorf("%s: %s, want %s", what, got, closed)
				}
			}
		}
		expect("before")
		by := time.Now().Add(5 * time.Minute)
		n.trial("allow", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}]}`, "null", 1, by, 5*time.Minute)
		api.tell()
		a.sync()
		c.pass(10 * time.Second)
		n.trial("deny", `{types: [Ingress]}`, "null", 4, by, 5*time.Minute)
		api.tell()
		a.sync()
		expect("on trial")
		if got := a.try(client, server, 0, serverPort+1); got != denied {
			t.Errorf("another port, on trial: %s, want %s", got, denied)
		}
		c.pass(5*time.Minute - 10*time.Second)
		a.sync()
		expect("when the first of them is over")
		if got := a.try(client, server, 0, serverPort+1); got != closed {
			t.Errorf("another port, when the first of them is over: %s, want %s: the other ends with it", got, closed)
		}
		a.agreed()
	})
}
