package cmd

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// recommendRules are the flags that say which flows count and how rules are
// written.
type recommendRules struct {
	By                string
	Direction         string
	IncludeDenied     bool
	IncludeSuspicious bool
	MinConnections    int64
	Exclude           []string
	Services          bool
	PortNumbers       bool
	Exact             bool
	MaxNets           int
	WidestNet         string
	Evidence          bool
}

func (r *recommendRules) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&r.By, "by", "workload", "one policy for each workload or namespace")
	flags.StringVar(&r.Direction, "direction", "both", "ingress, egress or both")
	flags.BoolVar(&r.IncludeDenied, "include-denied", false, "recommend flows too that are refused")
	flags.BoolVar(&r.IncludeSuspicious, "include-suspicious", false, "recommend flows too that somebody should look at first")
	flags.Int64Var(&r.MinConnections, "min-connections", 1, "leave out flows of fewer connections")
	flags.StringArrayVar(&r.Exclude, "exclude", nil, "leave out flows by from=END,to=END,port=[PROTOCOL/]PORT, each of which may be missing; may be repeated")
	flags.BoolVar(&r.Services, "services", false, "write whom a workload connects to as the Service that it used")
	flags.BoolVar(&r.PortNumbers, "port-numbers", false, "write ports that have a name by their number")
	flags.BoolVar(&r.Exact, "exact", false, "allow nothing that was not seen, however much more there is to write")
	flags.IntVar(&r.MaxNets, "max-nets", recommend.DefaultMaxNets, "at most so many nets for one direction, protocol and set of ports")
	flags.StringVar(&r.WidestNet, "widest-net", "/24,/64", "the widest nets that addresses are merged to if they are more: IPv4,IPv6")
	flags.BoolVar(&r.Evidence, "evidence", false, "write the evidence of each new rule as its annotations")
	completeFlagWords(cmd, "by", "workload", "namespace")
	completeFlagWords(cmd, "direction", "ingress", "egress", "both")
}

// completeFlagWords completes a flag that takes one of some words.
func completeFlagWords(cmd *cobra.Command, flag string, words ...string) {
	// It fails only for a flag that there is not.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// fill reads the flags into a request.
func (r *recommendRules) fill(req *recommend.Request) error {
	if err := oneOf("--by", r.By, "workload", "namespace"); err != nil {
		return err
	}
	if err := oneOf("--direction", r.Direction, "ingress", "egress", "both"); err != nil {
		return err
	}
	nets, err := r.nets()
	if err != nil {
		return err
	}
	if r.MinConnections < 0 {
		return cli.Usage("--min-connections 2", "--min-connections %d: expected 0 or more", r.MinConnections)
	}
	for _, text := range r.Exclude {
		e, err := recommend.ParseExclude(text)
		if err != nil {
			return cli.Usage("--exclude from=vote/worker,to=192.0.2.0/24,port=tcp/443", "--exclude %s: %s", text, err)
		}
		req.Exclude = append(req.Exclude, e)
	}
	req.ByNamespace = r.By == "namespace"
	req.Directions[policy.Ingress] = r.Direction != "egress"
	req.Directions[policy.Egress] = r.Direction != "ingress"
	req.IncludeDenied, req.IncludeSuspicious, req.MinConnections = r.IncludeDenied, r.IncludeSuspicious, r.MinConnections
	req.Write = recommend.Write{Services: r.Services, Numbers: r.PortNumbers, Exact: r.Exact, Nets: nets, Evidence: r.Evidence}
	if r.Exact && (req.ByNamespace || r.Services) {
		return cli.Usage("", "--exact can't be given with --by namespace or --services, which allow more than was seen")
	}
	return nil
}

func (r *recommendRules) nets() (recommend.NetBounds, error) {
	out := recommend.NetBounds{Max: r.MaxNets}
	if r.MaxNets < 1 {
		return out, cli.Usage("--max-nets 64", "--max-nets %d: expected 1 or more", r.MaxNets)
	}
	four, six, both := strings.Cut(r.WidestNet, ",")
	var err4, err6 error
	out.Widest4, err4 = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(four), "/"))
	if both {
		out.Widest6, err6 = strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(six), "/"))
	} else {
		out.Widest6 = recommend.DefaultWidest6
	}
	if err4 != nil || err6 != nil || out.Widest4 < 8 || out.Widest4 > 32 || out.Widest6 < 16 || out.Widest6 > 128 {
		return out, cli.Usage("--widest-net /24,/64", "--widest-net %q: expected a prefix from /8 to /32, and one from /16 to /128 for IPv6", r.WidestNet)
	}
	return out, nil
}

// oneOf refuses a value that is none of some words.
func oneOf(flag, value string, words ...string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return cli.Usage(flag+" "+words[0], "%s %q: expected %s", flag, value, strings.Join(words, ", "))
}

// check refuses flags that do not go together.
func (o *RecommendOptions) check() error {
	writes := o.Stage || o.Enforce || o.Keep != ""
	switch {
	case o.Stage && o.Enforce:
		return cli.Usage("", "--stage and --enforce can't be given together")
	case o.DryRun.on() && !writes:
		return cli.Usage("", "--dry-run is for --stage, --enforce and --keep; without them nothing is written anyway")
	case o.Force && !o.Enforce:
		return cli.Usage("", "--force is for --enforce only")
	case o.Force && o.Keep != "":
		return cli.Usage("", "--force is for what is put in force; --keep writes files alone")
	case o.Explain && writes:
		return cli.Usage("", "--explain is for looking; give it without --stage, --enforce and --keep")
	case o.Explain && o.FormatGiven && o.Format != output.Text:
		return cli.Usage("-o json", "--explain is text; -o json has all of it too")
	case o.As.name != "" && (writes || o.Explain):
		return cli.Usage("the same without --stage, --enforce, --keep and --explain", "--as %s only prints: netpol stages and enforces Calico's policies", o.As.name)
	case o.As.name != "" && o.Rules.Evidence:
		return cli.Usage("-o json", "--as %s has no place for --evidence; -o json tells it", o.As.name)
	case len(o.Workloads) > 0 && o.Rules.By == "namespace":
		return cli.Usage("", "--by namespace is for all workloads of a namespace; leave out --workload")
	}
	return nil
}
