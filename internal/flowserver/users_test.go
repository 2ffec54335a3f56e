package flowserver

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// someone knows tokens "good-NAME", and lets everybody do everything.
type someone struct{ tokens, rights int }

func (s *someone) Token(_ context.Context, token, _ string) (User, bool, error) {
	s.tokens++
	name, ok := strings.CutPrefix(token, "good-")
	return User{Name: name}, ok, nil
}

func (s *someone) Access(context.Context, User, Access) (bool, error) {
	s.rights++
	return true, nil
}

// from is a call from an address with a token.
func from(t *testing.T, addr, token string) context.Context {
	ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(addr), Port: 1234}})
	return metadata.NewIncomingContext(ctx, metadata.Pairs("authorization", "Bearer "+token))
}

// TestStrangersDoNotStarveUsers: who sends tokens that nobody knows takes nothing
// that users need, wherever it comes from.
func TestStrangersDoNotStarveUsers(t *testing.T) {
	for _, tc := range []struct {
		what      string
		addresses int
		most      int // reviews of their tokens
	}{
		{"from one pod", 1, 300},
		{"from many pods", 500, 1500},
	} {
		t.Run(tc.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where no time passes by itself
				now := time.Now()
				api := &someone{}
				u := newUsers(api, func() time.Time { return now }, &metrics{})
				eva, err := u.caller(from(t, "10.0.9.9", "good-eva"))
				if err != nil {
					t.Fatal(err)
				}
				refused := 0
				for i := range 5000 {
					addr := fmt.Sprintf("10.0.%d.%d", i%tc.addresses/250, 1+i%tc.addresses%250)
					_, err := u.caller(from(t, addr, fmt.Sprint("bad-", i)))
					if status.Code(err) == codes.ResourceExhausted {
						refused++
					} else if status.Code(err) != codes.Unauthenticated {
						t.Fatal(err)
					}
				}
				if api.tokens > tc.most || refused < 5000-tc.most {
					t.Errorf("the API server was asked about %d tokens, %d were refused unasked", api.tokens, refused)
				}
				for i := range 500 { // rights are asked about as before
					if _, err := u.may(t.Context(), eva, listFlows(fmt.Sprint("ns-", i))); err != nil {
						t.Fatal(i, err)
					}
				}
				before := api.tokens
				if _, err := u.caller(from(t, "10.0.0.1", "good-eva")); err != nil || api.tokens != before {
					t.Errorf("a known token, from where the others come: %v; asked about again: %v", err, api.tokens != before)
				}
				now = now.Add(tokenFor + time.Second)
				if _, err := u.caller(from(t, "10.0.0.1", "good-eva")); err != nil || api.tokens != before+1 {
					t.Errorf("a token that was known a minute ago: %v", err)
				}
				if _, err := u.caller(from(t, "127.0.0.1", "good-new")); err != nil {
					t.Errorf("a new user, through a forwarded port: %v", err)
				}
			})
		})
	}
}

// TestBadTokensDoNotDriveOutGoodOnes: there is room for so many that are not known.
func TestBadTokensDoNotDriveOutGoodOnes(t *testing.T) {
	api := &someone{}
	u := newUsers(api, time.Now, &metrics{})
	eva, err := u.caller(from(t, "127.0.0.1", "good-eva"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range maxCached + 10 {
		bad := &caller{}
		copy(bad.id[:], fmt.Sprint(i))
		u.keep(bad, false)
	}
	if len(u.refused) > maxCached {
		t.Errorf("%d bad tokens are remembered", len(u.refused))
	}
	if again, err := u.caller(from(t, "127.0.0.1", "good-eva")); err != nil || again != eva || api.tokens != 1 {
		t.Errorf("asked about %d times, %v", api.tokens, err)
	}
}

// TestOneUserDoesNotStarveAnother by asking about rights.
func TestOneUserDoesNotStarveAnother(t *testing.T) {
	u := newUsers(&someone{}, time.Now, &metrics{})
	var err error
	for i := 0; i < 10_000 && err == nil; i++ {
		_, err = u.may(t.Context(), &caller{User: User{Name: "mallory"}}, listFlows(fmt.Sprint("ns-", i)))
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a user asks without bound: %v", err)
	}
	for i := range 100 {
		if _, err := u.may(t.Context(), &caller{User: User{Name: "eva"}, id: [32]byte{1}}, listFlows(fmt.Sprint("ns-", i))); err != nil {
			t.Fatal(i, err)
		}
	}
}

// TestQuestionsOfOneUserAreBounded: who asks nodes without end keeps nobody else
// from it.
func TestQuestionsOfOneUserAreBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		ask          func(context.Context, *agentServer) error
		answer       codes.Code // of no node
		says         string
		burst, again int
	}{
		"probes": {func(ctx context.Context, s *agentServer) error {
			_, err := s.RegisterProbe(ctx, &agentpb.RegisterProbeRequest{Nodes: []string{"n1"}, Namespace: "vote"})
			return err
		}, codes.Unavailable, "eva probes too much", probeBurst, probeRate},
		"open connections": {func(ctx context.Context, s *agentServer) error {
			_, err := s.WouldCut(ctx, &agentpb.WouldCutRequest{Namespaces: []string{"vote"}})
			return err
		}, codes.OK, "eva asks about open connections too often", cutBurst, cutRate},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // where no time passes by itself
				store := keep.Open(keep.Options{Limits: flow.DefaultLimits()})
				s := newAgentServer(newUsers(&someone{}, time.Now, &metrics{}), newHub(store, noNodes{}, time.Now, &metrics{}))
				eva, tom := from(t, "127.0.0.1", "good-eva"), from(t, "127.0.0.1", "good-tom")
				for _, most := range []int{tc.burst, tc.again} {
					for i := range most {
						if err := tc.ask(eva, s); status.Code(err) != tc.answer {
							t.Fatalf("question %d: %v", i, err)
						}
					}
					if err := tc.ask(eva, s); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), tc.says) {
						t.Errorf("after %d: %v", most, err)
					}
					if err := tc.ask(tom, s); status.Code(err) != tc.answer {
						t.Errorf("another user: %v", err)
					}
					time.Sleep(time.Second)
				}
			})
		})
	}
}

// TestRatesForgetWhoIsIdle: callers that are remembered have a bound, beyond it
// they share, and who is idle makes room.
func TestRatesForgetWhoIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRates[int](1, 1)
		for i := range maxCallers {
			r.of(i).Allow()
		}
		if r.of(-1) != r.rest {
			t.Error("more callers are remembered than may be")
		}
		time.Sleep(2 * time.Second)
		if r.of(-1) == r.rest || len(r.known) != 1 {
			t.Errorf("%d callers are remembered, all but one of them idle", len(r.known))
		}
	})
}
