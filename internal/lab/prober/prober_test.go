package prober

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"
)

// fakeAgent denies connections to some ports and remembers what it was told.
type fakeAgent struct {
	mu         sync.Mutex
	denied     map[uint16]*Denial
	late       map[uint16]*Denial // told when the attempt is over
	registered map[netip.AddrPort]string
	refuse     error
	slow       time.Duration // before it notes a probe, and before it has a record
	began      time.Time
}

func (f *fakeAgent) Register(_ context.Context, a Attempt) error {
	time.Sleep(f.slow)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.registered == nil {
		f.registered = map[netip.AddrPort]string{}
	}
	f.registered[a.Source] = a.Protocol
	return f.refuse
}

func (f *fakeAgent) Denied(ctx context.Context, a Attempt) (*Denial, error) {
	if d := f.late[a.Destination.Port()]; d != nil {
		<-ctx.Done()
		return d, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.registered[a.Source] != a.Protocol {
		return nil, errors.New("asked about a connection that was not registered")
	}
	if f.began.IsZero() {
		f.began = time.Now()
	}
	if time.Since(f.began) < f.slow {
		return nil, nil
	}
	return f.denied[a.Destination.Port()], nil
}

func (f *fakeAgent) knows(a net.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.registered[netip.MustParseAddrPort(a.String())]
	return ok
}

var loopback = netip.MustParseAddr("127.0.0.1")

func task(id int, protocol string, port int) Task {
	return Task{ID: id, Protocol: protocol, Source: loopback, Destination: netip.AddrPortFrom(loopback, uint16(port))}
}

// listen opens a TCP port; accepted gets each client's address.
func listen(t *testing.T) (port int, accepted chan net.Addr) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	accepted = make(chan net.Addr, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c.RemoteAddr()
			_ = c.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port, accepted
}

// udp opens a UDP port that answers, or says nothing.
func udp(t *testing.T, answers bool) int {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if answers {
				_, _ = c.WriteTo(buf[:n], from)
			}
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).Port
}

// closedPort is one on which nobody listens. One that was free a moment ago might
// be another program's by now.
const closedPort = 1

func TestResults(t *testing.T) {
	open, _ := listen(t)
	silent, denied := udp(t, false), udp(t, false)
	agent := &fakeAgent{
		denied: map[uint16]*Denial{uint16(denied): {Direction: "Ingress", Tier: "default", Name: "deny"}},
		// A record for what was answered before must not count.
		late: map[uint16]*Denial{uint16(open): {Direction: "Ingress"}},
	}
	tasks := []Task{
		task(0, "TCP", open),
		task(1, "TCP", closedPort),
		task(2, "UDP", udp(t, true)),
		task(3, "UDP", closedPort),
		task(4, "UDP", denied),
		task(5, "UDP", silent),
	}
	want := []Result{Connected, Closed, Connected, Closed, Blocked, Error}
	const timeout = 3 * time.Second // of which only the silent one needs all
	start := time.Now()
	for i, o := range Run(t.Context(), agent, tasks, timeout) {
		if o.ID != i || o.Result != want[i] {
			t.Errorf("task %d: %+v, want %s", i, o, want[i])
		}
		if (o.Denial != nil) != (o.Result == Blocked) {
			t.Errorf("task %d: %s with denial %v", i, o.Result, o.Denial)
		}
		if o.Result == Blocked && o.Took >= timeout {
			t.Errorf("task %d: it took %s to see a denial that was on record at once", i, o.Took)
		}
	}
	if took := time.Since(start); took > 3*timeout {
		t.Errorf("all of it took %s: the tasks did not run side by side", took)
	}
}

// An agent that is slow, or late with its records, makes no error of what is
// connected or blocked.
func TestSlowAgentMakesNoErrors(t *testing.T) {
	open, _ := listen(t)
	denied := udp(t, false)
	tasks := []Task{task(0, "TCP", open), task(1, "UDP", denied)}
	want := []Result{Connected, Blocked}
	agent := &fakeAgent{denied: map[uint16]*Denial{uint16(denied): {Tier: "default"}}, slow: 800 * time.Millisecond}
	for i, o := range Run(t.Context(), agent, tasks, 400*time.Millisecond) {
		if o.Result != want[i] {
			t.Errorf("task %d: %+v, want %s", i, o, want[i])
		}
	}
}

func TestRegistersBeforeItConnects(t *testing.T) {
	port, accepted := listen(t)
	agent := &fakeAgent{}
	if out := Run(t.Context(), agent, []Task{task(0, "TCP", port)}, time.Second); out[0].Result != Connected {
		t.Fatalf("%+v", out[0])
	}
	if client := <-accepted; !agent.knows(client) {
		t.Errorf("a connection came from %s, which was not registered", client)
	}
}

func TestDoesNotConnectUnregistered(t *testing.T) {
	port, accepted := listen(t)
	agent := &fakeAgent{refuse: errors.New("no")}
	if out := Run(t.Context(), agent, []Task{task(0, "TCP", port)}, time.Second); out[0].Result != Error || out[0].Error != "no" {
		t.Errorf("%+v, want the agent's error", out[0])
	}
	select {
	case client := <-accepted:
		t.Errorf("it connected from %s all the same", client)
	default:
	}
}

func TestMainSpeaksJSON(t *testing.T) {
	port, _ := listen(t)
	in, err := json.Marshal(Input{Timeout: time.Second, Tasks: []Task{task(7, "TCP", port)}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Main(t.Context(), bytes.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	outcomes, err := Outcomes(out.Bytes())
	if err != nil || len(outcomes) != 1 || outcomes[0].ID != 7 || outcomes[0].Result != Connected {
		t.Errorf("%s, %v", out.Bytes(), err)
	}
	if err := Main(t.Context(), bytes.NewReader([]byte("x")), &out); err == nil {
		t.Error("no error for bad input")
	}
}
