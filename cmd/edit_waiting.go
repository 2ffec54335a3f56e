package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// waiting is one wait, and what it shows meanwhile.
type waiting struct {
	o        *EditOptions
	start    time.Time
	enforced bool
	of, done int
	shown    bool
}

// changesAtOnce is how many changes one question is about: a flows server takes
// none of more than 64 KiB, and a change may have 600 bytes.
const changesAtOnce = 100

func (w *waiting) run(ctx context.Context, changes []*agentpb.Written, limit time.Duration) error {
	client, err := w.o.Nodes(ctx)
	if err != nil {
		return err
	}
	var late, idle []string
	last := w.start
	for some := range slices.Chunk(changes, changesAtOnce) {
		w.of, w.done = 0, 0
		if late, idle, last, err = w.ask(ctx, client, some, limit); err != nil {
			return err
		}
		if len(late) > 0 {
			break
		}
	}
	w.clear()
	return w.tell(late, idle, last.Sub(w.start), limit)
}

// ask waits until nodes have some changes. late are the nodes that have them not
// in time, idle those that have them and do not enforce, and last is when the last
// node had them.
func (w *waiting) ask(ctx context.Context, client agentpb.NodesClient, changes []*agentpb.Written, limit time.Duration) (late, idle []string, last time.Time, err error) {
	last = w.start
	stream, err := client.Await(ctx, &agentpb.AwaitRequest{Changes: changes, TimeoutMilliseconds: max(limit.Milliseconds(), 1)})
	if err != nil {
		return nil, nil, last, fmt.Errorf("await: %w", err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return late, idle, last, nil
		}
		switch {
		case err != nil:
			return nil, nil, last, fmt.Errorf("await: %w", err)
		case r.GetNode() == "":
			w.of = int(r.GetOf())
		case !r.GetDone():
			late = append(late, fmt.Sprintf("%s: %s", r.GetNode(), r.GetProblem()))
		default:
			w.done++
			last = w.o.Now()
			if !r.GetStatus().GetEnforcing() {
				idle = append(idle, r.GetNode())
			}
		}
		w.show()
	}
}

// tell says the outcome.
func (w *waiting) tell(late, idle []string, took, limit time.Duration) error {
	word := "enforced"
	if !w.enforced {
		word = "judged"
	}
	slices.Sort(late)
	slices.Sort(idle)
	switch {
	case w.of == 0:
		return &cli.Error{What: "no node has an agent of netpol, so nothing enforces it", Try: "netpol status", Err: errNoAgents}
	case len(late) > 0:
		return &cli.Error{What: fmt.Sprintf("%s on %d/%d nodes after %s", word, w.done, w.of, limit), Where: late, Try: "netpol status"}
	case len(idle) > 0 && w.enforced:
		return &cli.Error{What: fmt.Sprintf("programmed on %d/%d nodes, but these do not enforce", w.done, w.of), Where: idle, Try: "netpol status"}
	}
	w.o.IO.ErrPrinter().Printf("%s on %d/%d nodes in %s\n", word, w.done, w.of, roundTime(took))
	return nil
}

// show writes over the line before, on a terminal.
func (w *waiting) show() {
	if w.o.IO.ErrTerminal && w.of > 0 {
		fmt.Fprintf(w.o.IO.Err, "\r%d/%d nodes …\x1b[K", w.done, w.of)
		w.shown = true
	}
}

func (w *waiting) clear() {
	if w.shown {
		fmt.Fprint(w.o.IO.Err, "\r\x1b[K")
		w.shown = false
	}
}
