// Package prober makes test connections and says what became of each:
// connected, closed (answered, but nobody listens), blocked (a deny record
// confirms it) or error.
//
// It binds first and registers its address with the agent before it connects,
// so that the agent can tell its connections from a workload's without any
// mark that a workload could forge.
package prober

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// Result is what became of an attempt.
type Result string

// The results.
const (
	Connected Result = "connected"
	Closed    Result = "closed"
	Blocked   Result = "blocked"
	Error     Result = "error"
)

// Task is one attempt to make.
type Task struct {
	ID          int            `json:"id"`
	Protocol    string         `json:"protocol"` // one that Knows
	Source      netip.Addr     `json:"source"`
	Destination netip.AddrPort `json:"destination"` // port 0 for a ping
}

// Outcome is what became of a Task.
type Outcome struct {
	ID     int     `json:"id"`
	Result Result  `json:"result"`
	Denial *Denial `json:"denial,omitempty"` // Blocked
	Error  string  `json:"error,omitempty"`  // Error
	// Took is the time to the result, nanoseconds.
	Took time.Duration `json:"took"`
}

// Denial names what refused a connection.
type Denial struct {
	Direction string `json:"direction"`
	Tier      string `json:"tier"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Rule      int    `json:"rule"` // -1: end of the tier
}

// Attempt names a connection that is tried. A ping has its identifier for the
// source's port, and 0 for the destination's.
type Attempt struct {
	Protocol            string
	Source, Destination netip.AddrPort
}

// Agent is what the prober asks the agent. Both may be called at once.
type Agent interface {
	// Register says that a connection about to be made is a test.
	Register(ctx context.Context, a Attempt) error
	// Denied is nil as long as the agent has not seen the kernel refuse it.
	Denied(ctx context.Context, a Attempt) (*Denial, error)
}

// The protocols that can be tried. Of ICMP and ICMPv6 it is a ping. Not among
// them are SCTP, for which many kernels have no sockets, and UDPLite, whose
// packets connection tracking takes for invalid: it checks their sums as UDP's,
// so they never come as far as a policy.
const (
	TCP    = "TCP"
	UDP    = "UDP"
	ICMP   = "ICMP"
	ICMPv6 = "ICMPv6"
)

// Knows says whether connections of a protocol can be tried.
func Knows(protocol string) bool {
	switch protocol {
	case TCP, UDP, ICMP, ICMPv6:
		return true
	}
	return false
}

// parallel bounds the attempts of one prober at a time.
const parallel = 64

// Run carries out all tasks, each within timeout, and returns the outcomes in
// the order of the tasks. agent may be nil: then nothing is registered, and
// what gets no answer is an Error.
func Run(ctx context.Context, agent Agent, tasks []Task, timeout time.Duration) []Outcome {
	out := make([]Outcome, len(tasks))
	slots := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	first := rand.N(identifiers)
	for i, t := range tasks {
		slots <- struct{}{}
		wg.Go(func() {
			a := &attempt{Task: t, agent: agent, timeout: timeout, id: uint16(1 + (first+i)%identifiers)}
			out[i] = a.run(ctx)
			<-slots
		})
	}
	wg.Wait()
	return out
}

// An agent that is behind, because the node is busy or the policies have just
// changed, must not make an attempt look like one that nobody answered.
const (
	// registerPatience is how long it may take to note that a connection is a
	// test. It is not part of the attempt's time.
	registerPatience = 10 * time.Second
	// recordPatience is how long after the attempt its record of the denial may
	// come.
	recordPatience = time.Second
)

// identifiers is how many an echo request may have, 0 left out.
const identifiers = 65535

// run carries an attempt out.
func (a *attempt) run(ctx context.Context) Outcome {
	start := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	connecting, giveUp := context.WithCancel(ctx)
	defer giveUp()
	a.giveUp, a.bound = giveUp, make(chan netip.AddrPort, 1)
	denials := make(chan *Denial, 1)
	var asking sync.WaitGroup
	if a.agent != nil {
		asking.Go(func() {
			if d := a.awaitDenial(ctx); d != nil {
				denials <- d
				giveUp()
			}
		})
	}
	err := a.connect(connecting)
	timedOut := isTimeout(err)
	if timedOut {
		late := time.AfterFunc(recordPatience, cancel)
		defer late.Stop()
	} else {
		cancel()
	}
	asking.Wait()
	o := Outcome{ID: a.ID, Took: time.Since(start)}
	select {
	case o.Denial = <-denials:
	default:
	}
	switch {
	case err == nil:
		o.Result, o.Denial = Connected, nil
	case errors.Is(err, syscall.ECONNREFUSED):
		o.Result, o.Denial = Closed, nil
	case o.Denial != nil:
		o.Result = Blocked
	case timedOut:
		o.Result, o.Error = Error, "no answer, and no record that a policy denied it"
		if a.agent == nil {
			o.Error = "no answer"
		}
	default:
		o.Result, o.Error = Error, innermost(err).Error()
	}
	return o
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// innermost is an error without the addresses that package net puts around it.
func innermost(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}
