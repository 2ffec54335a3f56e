package prober

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
)

// A prober that can't reach an agent itself, because it runs in somebody's pod
// with nothing but its standard input and output, asks whoever started it. Both
// speak JSON values, one a line: the input first, then questions and answers,
// and the outcomes at the end.

// message is what a relaying prober writes.
type message struct {
	Ask      *question `json:"ask,omitempty"`
	Outcomes []Outcome `json:"outcomes,omitempty"`
	Done     bool      `json:"done,omitempty"` // with the outcomes
}

// question is about one connection: whether it was denied, or, to register,
// that it is about to be made.
type question struct {
	ID          uint64         `json:"id"`
	Register    bool           `json:"register,omitempty"`
	Protocol    string         `json:"protocol"`
	Source      netip.AddrPort `json:"source"`
	Destination netip.AddrPort `json:"destination"`
}

// answer answers the question of the same ID.
type answer struct {
	ID     uint64  `json:"id"`
	Denial *Denial `json:"denial,omitempty"`
	Error  string  `json:"error,omitempty"`
}

// relayed is an Agent at the other end of a pair of streams.
type relayed struct {
	mu      sync.Mutex
	out     *json.Encoder
	last    uint64
	waiting map[uint64]chan answer
	broken  error
}

func newRelayed(in *json.Decoder, out *json.Encoder) *relayed {
	r := &relayed{out: out, waiting: map[uint64]chan answer{}}
	go r.read(in)
	return r
}

// read hands answers to whom they are for, until the stream ends.
func (r *relayed) read(in *json.Decoder) {
	for {
		var a answer
		err := in.Decode(&a)
		r.mu.Lock()
		if err != nil {
			r.broken = fmt.Errorf("the agent can't be asked any more: %w", err)
			for id, c := range r.waiting {
				close(c)
				delete(r.waiting, id)
			}
			r.mu.Unlock()
			return
		}
		if c := r.waiting[a.ID]; c != nil {
			c <- a // it has room for one
			delete(r.waiting, a.ID)
		}
		r.mu.Unlock()
	}
}

func (r *relayed) ask(ctx context.Context, q question) (answer, error) {
	c := make(chan answer, 1)
	r.mu.Lock()
	if r.broken != nil {
		r.mu.Unlock()
		return answer{}, r.broken
	}
	r.last++
	q.ID = r.last
	r.waiting[q.ID] = c
	err := r.out.Encode(message{Ask: &q})
	r.mu.Unlock()
	if err != nil {
		return answer{}, err
	}
	select {
	case a, ok := <-c:
		switch {
		case !ok:
			return answer{}, io.ErrUnexpectedEOF
		case a.Error != "":
			return answer{}, errors.New(a.Error)
		}
		return a, nil
	case <-ctx.Done():
		r.mu.Lock()
		delete(r.waiting, q.ID)
		r.mu.Unlock()
		return answer{}, ctx.Err()
	}
}

// Register implements Agent.
func (r *relayed) Register(ctx context.Context, to Attempt) error {
	_, err := r.ask(ctx, question{Register: true, Protocol: to.Protocol, Source: to.Source, Destination: to.Destination})
	return err
}

// Denied implements Agent.
func (r *relayed) Denied(ctx context.Context, of Attempt) (*Denial, error) {
	a, err := r.ask(ctx, question{Protocol: of.Protocol, Source: of.Source, Destination: of.Destination})
	return a.Denial, err
}

// finish writes the outcomes, whole.
func (r *relayed) finish(outcomes []Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Encode(message{Outcomes: outcomes, Done: true})
}

// Drive is the other end of a relaying prober: it tells it what to try, answers
// its questions with agent's answers, and returns the outcomes. to and from are
// the prober's standard input and output.
func Drive(ctx context.Context, agent Agent, input Input, to io.Writer, from io.Reader) ([]Outcome, error) {
	input.AgentSocket, input.Relay = "", agent != nil
	var mu sync.Mutex
	enc := json.NewEncoder(to)
	if err := enc.Encode(input); err != nil {
		return nil, fmt.Errorf("tell the prober what to try: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	dec := json.NewDecoder(from)
	for {
		var m message
		if err := dec.Decode(&m); err != nil {
			return nil, fmt.Errorf("the prober gave no outcomes: %w", err)
		}
		if m.Done {
			return m.Outcomes, nil
		}
		if m.Ask == nil || agent == nil {
			continue
		}
		answering.Go(func() {
			a := respond(ctx, agent, m.Ask)
			mu.Lock()
			defer mu.Unlock()
			_ = enc.Encode(a) // the prober notices that its questions get no answer
		})
	}
}

func respond(ctx context.Context, agent Agent, q *question) answer {
	a := answer{ID: q.ID}
	at := Attempt{q.Protocol, q.Source, q.Destination}
	var err error
	if q.Register {
		err = agent.Register(ctx, at)
	} else {
		a.Denial, err = agent.Denied(ctx, at)
	}
	if err != nil {
		a.Error = err.Error()
	}
	return a
}
