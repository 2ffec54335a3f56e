//go:build linux

package enforce_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// lines is a writer that may be read while it is written.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// What a Log rule sees is written, one line a connection, and judged on by the
// next rule.
func TestS7_LogRuleWritesALine(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listen(server, serverPort)
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [
			{action: Log}, {action: Allow, protocol: TCP, destination: {ports: [8080]}}]}`)
		var out lines
		a := n.start(func(o *enforce.Options) { o.LogLines = enforce.LogLines{Out: &out, Prefix: "shop-packet"} })
		const rule = "DIR=ingress TIER=default KIND=NetworkPolicy NAMESPACE=shop POLICY=server RULE=0\n"
		for family, want := range []string{
			" shop-packet: IN=npclient OUT=npserver SRC=10.65.0.1 DST=10.65.0.2 PROTO=TCP SPT=20001 DPT=8080 ",
			" shop-packet: IN=npclient OUT=npserver SRC=fd65::1 DST=fd65::2 PROTO=TCP SPT=20002 DPT=8080 ",
		} {
			if got := a.try(client, server, family, serverPort); got != connected {
				t.Fatalf("%s", got)
			}
			await(t, "the line"+want, func() bool { return strings.Contains(out.String(), want+rule) })
		}
		if got := a.try(client, server, 0, serverPort+1); got != denied {
			t.Errorf("what the next rules refuse: %s", got)
		}
		n.message(client, server.addrs[0], 8, 0, 77)
		await(t, "the line of a ping", func() bool {
			return strings.Contains(out.String(), "DST=10.65.0.2 PROTO=ICMP TYPE=8 CODE=0 ID=77 "+rule)
		})
		a.agreed()
	})
}
