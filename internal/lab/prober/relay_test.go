package prober

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"
)

// driven runs a prober process's main and its driver on two pipes.
func driven(t *testing.T, agent Agent, tasks ...Task) ([]Outcome, error) {
	t.Helper()
	in, toProber := io.Pipe()
	fromProber, out := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := Main(t.Context(), in, out)
		_ = out.CloseWithError(io.EOF)
		done <- err
	}()
	outcomes, err := Drive(t.Context(), agent, Input{Timeout: time.Second, Tasks: tasks}, toProber, fromProber)
	_ = toProber.Close()
	if merr := <-done; merr != nil {
		t.Error(merr)
	}
	return outcomes, err
}

// What runs in a pod can't reach an agent; whoever drives it answers for one.
func TestARelayingProberAsksWhoDrivesIt(t *testing.T) {
	open, accepted := listen(t)
	silent, closed := udp(t, false), closedPort
	agent := &fakeAgent{denied: map[uint16]*Denial{uint16(silent): {Direction: "Egress", Tier: "platform", Rule: 2}}}
	got, err := driven(t, agent, task(0, TCP, open), task(1, UDP, silent), task(2, TCP, closed))
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, want := range []Result{Connected, Blocked, Closed} {
		if got[i].ID != i || got[i].Result != want {
			t.Errorf("task %d: %+v, want %s", i, got[i], want)
		}
	}
	if d := got[1].Denial; d == nil || *d != (Denial{Direction: "Egress", Tier: "platform", Rule: 2}) {
		t.Errorf("denial: %+v", d)
	}
	if from := <-accepted; !agent.knows(from) {
		t.Errorf("%v was not registered before it connected", from)
	}
}

func TestARelayingProberWithoutAgent(t *testing.T) {
	open, _ := listen(t)
	got, err := driven(t, nil, task(0, TCP, open))
	if err != nil || len(got) != 1 || got[0].Result != Connected {
		t.Errorf("%+v, %v", got, err)
	}
}

// A probe that can't be registered would teach what it tests, so it is not made.
func TestARelayingProberTellsWhatTheAgentRefuses(t *testing.T) {
	open, accepted := listen(t)
	got, err := driven(t, &fakeAgent{refuse: errors.New("no such node")}, task(0, TCP, open))
	if err != nil || len(got) != 1 || got[0].Result != Error {
		t.Errorf("%+v, %v", got, err)
	}
	select {
	case from := <-accepted:
		t.Errorf("%v connected all the same", from)
	default:
	}
}

// A driver that goes away ends the attempts instead of leaving them hanging.
func TestARelayingProberWhoseDriverIsGone(t *testing.T) {
	in, toProber := io.Pipe()
	fromProber, out := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	go func() {
		_, _ = io.WriteString(toProber, `{"relay":true,"timeout":1000000000,"tasks":[{"id":0,"protocol":"TCP","source":"127.0.0.1","destination":"127.0.0.1:1"}]}`)
		buf := make([]byte, 4096)
		_, _ = fromProber.Read(buf) // the first question
		_ = toProber.Close()
		_, _ = io.Copy(io.Discard, fromProber)
	}()
	start := time.Now()
	if err := Main(ctx, in, out); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("it took %s", took)
	}
}
