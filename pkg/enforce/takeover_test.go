//go:build linux

package enforce_test

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// heard says whether a log has had a line with the word in it.
type heard struct {
	word string
	yes  atomic.Bool
}

func (h *heard) Write(b []byte) (int, error) {
	if strings.Contains(string(b), h.word) {
		h.yes.Store(true)
	}
	return len(b), nil
}

// An agent that starts while its predecessor has not ended waits for it.
func TestWaitsForAFormerAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		n.policy("server", open8080)
		_, former := n.startProcess()
		n.must(os.Remove(socketOf(n.dir))) // so that only the next one answers
		h := &heard{word: "waiting for a former agent"}
		go func() {
			for !h.yes.Load() && t.Context().Err() == nil {
				time.Sleep(time.Millisecond)
			}
			_ = former.Process.Kill()
		}()
		a := n.start(func(o *enforce.Options) { o.Log = slog.New(slog.NewTextHandler(h, nil)) })
		if !h.yes.Load() {
			t.Error("the next agent did not wait")
		}
		if got := a.try(client, server, 0, serverPort); got != connected {
			t.Errorf("under the next agent: %s, want %s", got, connected)
		}
		a.agreed()
	})
}

// Two pods behind one interface can't be told apart, so one of them stays
// closed; everything else goes on.
func TestS31_TwoPodsBehindOneInterface(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		n.policy("server", open8080)
		second := *client
		second.name = "second"
		second.addrs = addresses("10.65.0.50", "fd65::50")
		n.must(route(client.iface, netip.PrefixFrom(second.addrs[0], 32), netip.Addr{}))
		n.manifest(&second, nodeName, "")
		a := n.start(nil)
		if p := a.status().Problems; len(p) != 1 || !strings.Contains(p[0], "shop/second stays closed") {
			t.Errorf("problems: %q", p)
		}
		if got := a.try(client, server, 0, serverPort); got != connected {
			t.Errorf("the first: %s, want %s", got, connected)
		}
		before := n.dropped("drop-spoofed", "")
		fd, err := open(client, unix.IPPROTO_UDP, netip.AddrPortFrom(second.addrs[0], 0), netip.AddrPortFrom(server.addrs[0], serverPort))
		n.must(err)
		defer unix.Close(fd)
		await(t, "the second to be refused", func() bool { return n.dropped("drop-spoofed", "") > before })
		n.policy("server", shut8080)
		_, err = a.Sync(t.Context(), &agentpb.SyncRequest{})
		n.must(err)
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("after a change: %s, want %s", got, denied)
		}
	})
}
