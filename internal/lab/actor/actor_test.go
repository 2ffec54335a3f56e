package actor

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/lab/dns"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// running is an actor that runs in this process.
type running struct {
	in     *io.PipeWriter
	events *json.Decoder
	done   chan error
}

func start(t *testing.T, c Config) *running {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	r := &running{in: inW, events: json.NewDecoder(outR), done: make(chan error, 1)}
	go func() {
		err := Run(t.Context(), inR, outW)
		_ = outW.Close()
		r.done <- err
	}()
	line, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(inW, "%s\n", line); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *running) next(t *testing.T) Event {
	t.Helper()
	var e Event
	if err := r.events.Decode(&e); err != nil {
		t.Fatalf("no event: %v", err)
	}
	return e
}

// freePort is a port that nobody uses at the moment, and none that the kernel gives
// to whoever asks for any.
func freePort(t *testing.T) uint16 {
	t.Helper()
	var err error
	for range 100 {
		address := fmt.Sprint(":", 15_000+rand.N(15_000))
		var tcp net.Listener
		if tcp, err = net.Listen("tcp", address); err != nil {
			continue
		}
		_ = tcp.Close()
		var udp net.PacketConn
		if udp, err = net.ListenPacket("udp", address); err == nil {
			_ = udp.Close()
			return uint16(tcp.Addr().(*net.TCPAddr).Port)
		}
	}
	t.Fatal(err)
	return 0
}

func TestActorListensThenConnectsWhenToldTo(t *testing.T) {
	const nobody = 1
	tcp, udp := freePort(t), freePort(t)
	r := start(t, Config{
		Name: "vote/db", Every: 20 * time.Millisecond,
		Listen: []plan.Port{{Protocol: plan.TCP, Port: tcp}, {Protocol: plan.UDP, Port: udp}},
		Targets: []plan.Target{
			{Host: "127.0.0.1", Protocol: plan.TCP, Port: tcp},
			{Host: "127.0.0.1", Protocol: plan.UDP, Port: udp},
			{Host: "127.0.0.1", Protocol: plan.TCP, Port: nobody},
		},
	})
	if e := r.next(t); !e.Listening {
		t.Fatalf("first event %+v, want that it listens", e)
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", tcp))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	if line, err := lines.ReadString('\n'); err != nil || line != "netpol actor vote/db\n" {
		t.Errorf("banner %q, %v", line, err)
	}
	if _, err := io.WriteString(conn, "echo\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := lines.ReadString('\n'); err != nil || line != "echo\n" {
		t.Errorf("echo %q, %v", line, err)
	}
	if _, err := io.WriteString(r.in, "go\n"); err != nil {
		t.Fatal(err)
	}
	seen := map[int]int{}
	for seen[0] < 2 || seen[1] < 2 || seen[2] < 2 {
		e := r.next(t)
		seen[e.Target]++
		if failed := e.Error != ""; failed != (e.Target == 2) {
			t.Errorf("target %d: error %q", e.Target, e.Error)
		}
		if e.Target == 2 && !strings.HasSuffix(e.Error, "connection refused") {
			t.Errorf("error %q does not say what happened", e.Error)
		}
	}
	_ = r.in.Close()
	for {
		var e Event
		if r.events.Decode(&e) != nil {
			break
		}
	}
	if err := <-r.done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestAttemptSaysWhatIsSilent(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	target := plan.Target{Host: "127.0.0.1", Protocol: plan.TCP, Port: uint16(silent.Addr().(*net.TCPAddr).Port)}
	err = Attempt(ctx, &dns.Client{}, target)
	if err == nil || !strings.HasSuffix(err.Error(), ": no answer") {
		t.Errorf("error %v", err)
	}
}
