// Package hubble reads flows from what "hubble observe -o jsonpb" writes: one
// JSON object a line, each an event of a packet.
//
// It looks nothing up: names are as Hubble tells them (flow.Named finds what
// they mean). Hubble knows no staged policies, so what is pending is what is
// enforced.
package hubble

import (
	"fmt"
	"io"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// told is what a line tells.
type told struct {
	flow flow.Flow
	conn conn
	// connects: the line is of a packet that may begin a connection; opens: only
	// the first packet of one can be like it.
	connects, opens bool
	lost            int64
}

// Each calls f for every connection that r tells of, in order: with one
// connection each. It returns how many it could not tell: lines that name no
// workload or no protocol, and events that Hubble lost. An error names the file and
// the line.
func Each(name string, r io.Reader, f func(flow.Flow) error) (lost int64, err error) {
	return each(name, io.NopCloser(r), func(fl *flow.Flow) error { return f(*fl) })
}

func each(name string, r io.ReadCloser, f func(*flow.Flow) error) (lost int64, err error) {
	seen := conns{}
	err = jsonlines.Each(name, r, newDecoder, func(t *told) error {
		missed := t.lost
		if t.connects && seen.begins(t.conn, t.flow.FirstSeen, t.opens) {
			if t.flow.Source.Kind != "" && t.flow.Destination.Kind != "" {
				return f(&t.flow)
			}
			missed = 1
		}
		if lost += missed; lost < 0 {
			lost = 0
			return fmt.Errorf("%s: more events are lost than can be counted", name)
		}
		return nil
	})
	return lost, err
}

// tell is what an event tells.
func (e *event) tell() (t told, err error) {
	if e.Lost != nil {
		t.lost = int64(e.Lost.Events)
		return t, nil
	}
	if e.Flow == nil || !e.Flow.connects() {
		return t, nil
	}
	t.connects, t.opens = true, e.Flow.opens()
	t.flow, t.conn, err = e.Flow.flow()
	return t, err
}

// NewSource reads flows from what open opens, anew for each call; name is what
// errors call it. What is covered is from the first connection to the last. What
// Hubble lost are events, so how many connections that were is not known.
func NewSource(name string, open func() (io.ReadCloser, error)) *jsonlines.Source {
	return &jsonlines.Source{
		Open:   open,
		Each:   func(r io.ReadCloser, f func(*flow.Flow) error) (int64, error) { return each(name, r, f) },
		Settle: func(*flow.Flow) {},
	}
}
