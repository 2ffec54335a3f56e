package cmd

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// liveReport is what is known of open connections that would be cut (S29).
type liveReport struct {
	// Known says that agents told of each open connection, with its age; else
	// they are counted by the flows alone.
	Known bool `json:"known"`
	// Why they are not known, empty where no agent can tell.
	Why string `json:"why,omitempty"`
	// Open is how many connections there are in all, as each node counts.
	Open int64 `json:"open,omitempty"`
	// WouldCut is how many would be cut; Items are the oldest of them, and More
	// those that are not listed.
	WouldCut int64       `json:"wouldCut"`
	More     int64       `json:"more,omitempty"`
	Items    []stage.Cut `json:"items"`
	// Unanswered are nodes whose agents did not answer.
	Unanswered []string `json:"unanswered,omitempty"`
}

// liveWithin is how long agents have to judge their open connections.
const liveWithin = 15 * time.Second

// readLive finds the open connections that would be cut. Where the agents can't
// say, the flows' own counts have to do.
func readLive(ctx context.Context, opts *ReportOptions, ev *evidence, r *impactReport, scope tier.Scope) (liveReport, error) {
	counted := liveReport{WouldCut: r.LiveCounts(), Items: []stage.Cut{}}
	if opts.Source.Given() || flow.IsCalicos(ev.source) || len(r.Policies) == 0 {
		return counted, nil
	}
	reply, err := askLive(ctx, opts, r)
	if ctx.Err() != nil {
		return counted, ctx.Err()
	}
	if err != nil {
		counted.Why = liveProblem(err)
		return counted, nil
	}
	var open []stage.Open
	for _, w := range reply.GetConnections() {
		o, err := relay.OpenFromWire(w)
		if err != nil {
			return counted, fmt.Errorf("the agent's open connections: %w", err)
		}
		open = append(open, o)
	}
	// What the agents know of the policies may be older than what is here.
	out := liveReport{Known: true, Open: reply.GetOpen(), More: reply.GetMore(), Unanswered: reply.GetUnanswered(), Items: stage.Cuts(ev.model, open, scope)}
	out.WouldCut = int64(len(out.Items)) + out.More
	return out, nil
}

func askLive(ctx context.Context, opts *ReportOptions, r *impactReport) (*agentpb.WouldCutReply, error) {
	agent, err := opts.Factory.Agent(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, liveWithin)
	defer cancel()
	request := &agentpb.WouldCutRequest{Namespaces: r.Namespaces}
	if r.Scope == "policy" {
		p := r.Policies[0]
		request.Kind, request.Namespace, request.Name = p.Kind, p.Namespace, p.Name
	}
	return agent.WouldCut(ctx, request)
}

// liveProblem is why the agents could not be asked.
func liveProblem(err error) string {
	if status.Code(err) == codes.Unimplemented {
		return "the agent or flows server is of an older version"
	}
	return agentText(err)
}

// text is how many would be cut.
func (l *liveReport) text() string {
	out := plural(int(l.WouldCut), "open connection") + " would be cut"
	if !l.Known {
		return out + ", as the flows count them"
	}
	if len(l.Unanswered) > 0 {
		out = "at least " + out + " (no answer from node " + strings.Join(l.Unanswered, ", ") + ")"
	}
	return out
}

// mostCuts is how many connections are shown; wide shows all that are listed.
const mostCuts = 10

// printLive tells of open connections that would be cut, apart from new ones.
func printLive(p *output.Printer, r *impactReport, opts *ReportOptions) error {
	l, wide := &r.Live, opts.Format == output.Wide
	if l.WouldCut == 0 && len(l.Unanswered) == 0 {
		return nil
	}
	p.Printf("\n")
	p.Indented(0, l.text())
	shown := l.Items
	if !wide {
		shown = shown[:min(len(shown), mostCuts)]
	}
	if len(shown) == 0 {
		return nil
	}
	columns := []string{"AGE", "FROM", "TO", "PORT", "CLIENT"}
	if wide {
		columns = []string{"SINCE", "AGE", "FROM", "TO", "PORT", "CLIENT", "SERVER", "BLOCKED BY"}
	}
	t := p.Table(columns...)
	for i := range shown {
		c := &shown[i]
		client := hostPort(c.SourceAddress, int(c.SourcePort))
		if wide {
			t.Row(output.Time(c.Since), cutAge(c, opts.Factory.Now()), c.Source, c.Destination, c.Port.Text(), client, c.DestinationAddress,
				c.Direction+" "+byText(*c.BlockedBy))
			continue
		}
		t.Row(cutAge(c, opts.Factory.Now()), c.Source, c.Destination, c.Port.Text(), client)
	}
	t.Spare("SINCE", "SERVER", "BLOCKED BY")
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(opts.Factory.IO, t, allElsewhere)
	if more := l.WouldCut - int64(len(shown)); more > 0 {
		p.Printf("and %d more\n", more)
	}
	return nil
}

// cutAge is how long a connection has been open, as far as that is known.
func cutAge(c *stage.Cut, now time.Time) string {
	age := output.Age(max(now.Sub(c.Since), 0))
	if c.AtLeast {
		return "≥" + age
	}
	return age
}

func hostPort(addr string, port int) string {
	if strings.Contains(addr, ":") {
		return fmt.Sprintf("[%s]:%d", addr, port)
	}
	return fmt.Sprintf("%s:%d", addr, port)
}
