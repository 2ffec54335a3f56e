package cmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// ExplainOptions are what explain needs.
type ExplainOptions struct {
	Factory     *cli.Factory
	Source      string
	Destination string
	Scope       scopeFlags
	ExitCode    bool
	Format      output.Format
}

// NewCmdExplain is "netpol explain".
func NewCmdExplain(f *cli.Factory, runF func(*ExplainOptions) error) *cobra.Command {
	opts := &ExplainOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "explain SOURCE DESTINATION[:PORT][/PROTOCOL]",
		Short: "Walk the tiers for one connection and name the rule that decides",
		Long: `Walk the tiers for one connection, at the source's end and at the
destination's, and name the rule that decides; for rules that did not match, the
criterion that failed and the value that it met.

SOURCE and DESTINATION are namespace/workload, namespace/pod or an address. The
protocol is TCP unless it is given; without a port, the port that the
destination declares, if it is one only.`,
		Example: `  netpol explain wordpress/wordpress vote/db:5432
  netpol explain vote/vote kube-system/coredns:53/UDP --pending`,
		Args: exactArgs("SOURCE", "DESTINATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			opts.Source, opts.Destination = args[0], args[1]
			if runF != nil {
				return runF(opts)
			}
			return explainRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVar(&opts.Scope.pending, "pending", false, "as if every staged policy were enforced")
	cmd.Flags().StringVar(&opts.Scope.only, "only", "", "as if this staged policy were enforced")
	cmd.Flags().BoolVar(&opts.ExitCode, "exit-code", false, "exit with 1 if the connection is denied")
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.JSON, output.YAML)
	return cmd
}

func explainRun(ctx context.Context, opts *ExplainOptions) error {
	target, err := connectivity.ParseTarget(opts.Destination)
	if err != nil {
		return cli.Usage("netpol explain wordpress/wordpress vote/db:5432", "%s", err)
	}
	m, err := loadModel(ctx, opts.Factory)
	if err != nil {
		return err
	}
	scope, err := opts.Scope.scope(m.Snapshot(), "")
	if err != nil {
		return err
	}
	src, err := findEnd(m, opts.Source)
	if err != nil {
		return err
	}
	dst, err := findEnd(m, target.Name)
	if err != nil {
		return err
	}
	if err := choosePort(&target, dst); err != nil {
		return err
	}
	e := explain(m, scope, src, dst, target)
	p := opts.Factory.IO.Printer()
	if opts.Format.Structured() {
		err = p.Object(opts.Format, newExplainReport(&e))
	} else {
		err = printExplanation(p, &e)
	}
	if err != nil || !opts.ExitCode {
		return err
	}
	return cli.Answer(e.allowed)
}

func findEnd(m *tier.Model, name string) (tier.Peer, error) {
	if p, ok := connectivity.Find(m, name); ok {
		return p, nil
	}
	return tier.Peer{}, cli.Unknown("workload, pod or address", name, connectivity.Names(m.Snapshot()), "netpol get pods -A")
}

// choosePort fills in the port where the destination leaves no choice.
func choosePort(t *connectivity.Target, dst tier.Peer) error {
	if t.Port != 0 || !t.Protocol.HasPorts() {
		return nil
	}
	var ports []string
	if dst.Endpoint != nil {
		for _, p := range dst.Endpoint.Ports {
			if p.Protocol == t.Protocol {
				ports = append(ports, fmt.Sprint(p.Port))
				t.Port = p.Port
			}
		}
	}
	if len(ports) == 1 {
		return nil
	}
	what := "declares none"
	if len(ports) > 1 {
		what = "declares " + strings.Join(ports, ", ")
	}
	return cli.Usage(fmt.Sprintf("netpol explain … %s:80", t.Name), "%s: which port? it %s for %s", t.Name, what, t.Protocol)
}

// explained is a connection with both ends' walks.
type explained struct {
	source, destination string
	target              connectivity.Target
	ends                []endWalk
	allowed             bool
}

type endWalk struct {
	at   string
	walk tier.Explanation
}

func explain(m *tier.Model, scope tier.Scope, src, dst tier.Peer, t connectivity.Target) explained {
	e := explained{source: endName(src), destination: endName(dst), target: t, allowed: true}
	if src.Endpoint != nil && dst.Endpoint != nil && src.Endpoint.ID() == dst.Endpoint.ID() {
		return e
	}
	for _, dir := range []policy.Direction{policy.Egress, policy.Ingress} {
		local, peer := src, dst
		if dir == policy.Ingress {
			local, peer = dst, src
		}
		if local.Endpoint == nil {
			continue
		}
		w := m.Explain(scope, dir, local, peer, t.Protocol, t.Port)
		e.ends = append(e.ends, endWalk{at: endName(local), walk: w})
		e.allowed = e.allowed && w.Verdict.Action == policy.Allow
	}
	return e
}

func endName(p tier.Peer) string {
	if p.Endpoint == nil {
		return p.Addr.String()
	}
	return p.Endpoint.Workload.String()
}

func printExplanation(p *output.Printer, e *explained) error {
	port := e.target.Protocol.String()
	if e.target.Protocol.HasPorts() {
		port += fmt.Sprintf("/%d", e.target.Port)
	}
	p.Line(output.Cell{Text: fmt.Sprintf("%s → %s %s:", e.source, e.destination, port)}, output.Verdict(e.allowed))
	if len(e.ends) == 0 {
		p.Printf("  neither end is judged: a pod always reaches itself, and addresses outside have no policy\n")
	}
	for _, end := range e.ends {
		p.Printf("\n")
		p.Line(output.Cell{Text: fmt.Sprintf("%s at %s:", end.walk.Direction, end.at)}, output.Verdict(end.walk.Verdict.Action == policy.Allow))
		if len(end.walk.Tiers) == 0 {
			p.Printf("  no policy selects it in this direction\n")
		}
		for _, t := range end.walk.Tiers {
			printTier(p, &t)
		}
		if end.walk.Verdict.By.Rule == policy.NoPolicy && len(end.walk.Tiers) > 0 {
			p.Printf("  no tier decided: allowed\n")
		}
	}
	return nil
}

func printTier(p *output.Printer, t *tier.TierStep) {
	p.Printf("  tier %s\n", t.Tier)
	for _, ps := range t.Policies {
		p.Printf("    %s (order %s)\n", ps.Policy.Key, orderText(ps.Policy.Order))
		if len(ps.Rules) == 0 {
			p.Printf("      no rules\n")
		}
		for _, r := range ps.Rules {
			if r.Matched {
				p.Indented(6, fmt.Sprintf("rule %d %s: matches%s", r.Index, r.Action, decides(r.Action)))
				continue
			}
			p.Indented(6, fmt.Sprintf("rule %d %s: no, %s is %s, wanted %s", r.Index, r.Action, r.Failed, r.Met, r.Wanted))
		}
	}
	if t.ByDefault {
		p.Printf("    end of tier: %s%s\n", t.Outcome, decides(t.Outcome))
	}
}

func decides(a policy.Action) string {
	switch a {
	case policy.Pass:
		return " → next tier"
	case policy.Log:
		return " → logged"
	}
	return " ← decides"
}

func orderText(o policy.Order) string {
	if o == policy.Unordered {
		return "none"
	}
	return fmt.Sprintf("%g", o)
}

// explainReport is the JSON of explain.
type explainReport struct {
	output.Meta
	Source      string       `json:"source"`
	Destination string       `json:"destination"`
	Protocol    string       `json:"protocol"`
	Port        int          `json:"port"`
	Result      string       `json:"result"` // allow or deny
	Ends        []explainEnd `json:"ends"`
}

type explainEnd struct {
	Direction string        `json:"direction"`
	Endpoint  string        `json:"endpoint"`
	Result    string        `json:"result"`
	By        hitReport     `json:"by"`
	Tiers     []explainTier `json:"tiers"`
}

type explainTier struct {
	Tier     string          `json:"tier"`
	Outcome  string          `json:"outcome"`
	Default  bool            `json:"byDefaultAction"`
	Policies []explainPolicy `json:"policies"`
}

type explainPolicy struct {
	Kind      string        `json:"kind"`
	Namespace string        `json:"namespace,omitempty"`
	Name      string        `json:"name"`
	Rules     []explainRule `json:"rules"`
}

type explainRule struct {
	Rule    int    `json:"rule"`
	Action  string `json:"action"`
	Matched bool   `json:"matched"`
	Failed  string `json:"failed,omitempty"`
	Wanted  string `json:"wanted,omitempty"`
	Met     string `json:"met,omitempty"`
}

func resultWord(allowed bool) string {
	if allowed {
		return "allow"
	}
	return "deny"
}

func newExplainReport(e *explained) explainReport {
	r := explainReport{
		Meta: output.NewMeta("Explanation"), Source: e.source, Destination: e.destination,
		Protocol: e.target.Protocol.String(), Port: int(e.target.Port), Result: resultWord(e.allowed), Ends: []explainEnd{},
	}
	for _, end := range e.ends {
		v := end.walk.Verdict
		out := explainEnd{
			Direction: end.walk.Direction.String(), Endpoint: end.at, Result: resultWord(v.Action == policy.Allow),
			By: newHitReport(v.By, end.walk.Direction), Tiers: []explainTier{},
		}
		for _, t := range end.walk.Tiers {
			tr := explainTier{Tier: t.Tier, Outcome: t.Outcome.String(), Default: t.ByDefault, Policies: []explainPolicy{}}
			for _, ps := range t.Policies {
				k := ps.Policy.Key
				pr := explainPolicy{Kind: string(k.Kind), Namespace: k.Namespace, Name: k.Name, Rules: []explainRule{}}
				for _, rule := range ps.Rules {
					pr.Rules = append(pr.Rules, explainRule{rule.Index, rule.Action.String(), rule.Matched, rule.Failed, rule.Wanted, rule.Met})
				}
				tr.Policies = append(tr.Policies, pr)
			}
			out.Tiers = append(out.Tiers, tr)
		}
		r.Ends = append(r.Ends, out)
	}
	return r
}
