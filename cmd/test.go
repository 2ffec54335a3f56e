package cmd

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policytest"
)

// formatGitHub is the format of annotations that GitHub's runners show beside
// the lines of a file.
const formatGitHub output.Format = "github"

// TestOptions are what test needs.
type TestOptions struct {
	Factory   *cli.Factory
	Files     []string
	Recursive bool
	Run       string // regular expression on TEST/CASE
	Live      bool
	Site      siteFlags
	Source    worldFrom
	Timeout   time.Duration
	Scope     scopeFlags
	Verbose   bool
	Format    output.Format
	// StoreTyped is the flag by which the user said what to work on: that is
	// tested then, and not the resources that tests name.
	StoreTyped string
}

// NewCmdTest is "netpol test".
func NewCmdTest(f *cli.Factory, runF func(*TestOptions) error) *cobra.Command {
	opts := &TestOptions{Factory: f}
	cmd := &cobra.Command{
		Use:   "test -f FILE|DIRECTORY|-",
		Short: "Run tests of policies: what must be allowed, and what denied",
		Long: `Run tests of policies: files that say which connections must be allowed or
denied, and by what. Exit code 1 if one is not as expected, 2 if one can't be
judged.

  apiVersion: netpol.dev/v1
  kind: PolicyTest
  metadata:
    name: vote
  resources: [../vote]     # manifests, as seen from this file
  scope: enforced          # or pending, or {only: STAGED POLICY}
  default: deny            # of all pairs of workloads that no case names
  cases:
  - name: the worker reaches the database
    from: vote/worker      # one or a list; vote/* and */* are patterns
    to: vote/db
    port: 5432             # number, range 80:90, name, ICMP type; or ports: []
    protocol: TCP
    expect: allow          # or deny
    by: {tier: platform, policy: vote/db, rule: 0, direction: Ingress}
  - name: nobody else does
    only: [vote/worker, vote/result]   # in place of from, or of to
    to: vote/db:5432

Without a port it is those that the destination declares, and of an address all.
Ends are

` + connectivity.TargetHelp + `

Without resources, and with --dir, --lab, --context, --kubeconfig or --live,
what is there is tested; --live also tries the connections in the lab or the
cluster.`,
		Example: `  netpol test -f examples/tests
  netpol test -f tests.yaml --dir manifests --pending -o junit > report.xml
  netpol test -f tests.yaml --live --run 'vote/.*database'`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, name := range []string{"dir", "lab", "context", "kubeconfig"} {
				if cmd.Flags().Changed(name) {
					opts.StoreTyped = "--" + name
				}
			}
			if runF != nil {
				return runF(opts)
			}
			return testRun(cmd.Context(), opts)
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVarP(&opts.Files, "filename", "f", nil, "file or directory of tests; - for standard input")
	flags.BoolVarP(&opts.Recursive, "recursive", "R", false, "also the directories within a directory")
	flags.StringVar(&opts.Run, "run", "", "only cases whose TEST/CASE matches this regular expression")
	flags.BoolVar(&opts.Live, "live", false, "also try the connections in the lab or the cluster, and compare")
	opts.Site.addTo(flags)
	opts.Source.addTo(cmd)
	flags.DurationVar(&opts.Timeout, "timeout", 3*time.Second, "with --live: how long to wait for an answer or for a record of a denial")
	flags.BoolVar(&opts.Scope.pending, "pending", false, "as if every staged policy were enforced, whatever the tests say")
	flags.StringVar(&opts.Scope.only, "only", "", "as if this staged policy were enforced, whatever the tests say")
	flags.BoolVarP(&opts.Verbose, "verbose", "v", false, "tell every connection, not only those that are not as expected")
	output.AddFlag(flags, &opts.Format, output.Text, output.JSON, output.YAML, output.JUnit, formatGitHub)
	return cmd
}

func testRun(ctx context.Context, opts *TestOptions) error {
	const try = "netpol test --help"
	pick, err := regexp.Compile(opts.Run)
	if err != nil {
		return cli.Usage(try, "--run: %v", err)
	}
	if len(opts.Files) == 0 {
		return cli.Usage(try, "-f FILE is missing")
	}
	if !opts.Live && opts.Site != (siteFlags{}) {
		return cli.Usage(try, "--image and --yes are for --live")
	}
	if opts.Live && opts.Source.Given() {
		return cli.Usage(try, "--live asks what there is, and --flows is about what there was: they can't be given together")
	}
	if opts.Source.From == "-" && slices.Contains(opts.Files, "-") {
		return cli.Usage(try, "-f - and --flows -: standard input can be read only once")
	}
	if err := checkTimeout(opts.Timeout, try); err != nil {
		return err
	}
	files, err := readTests(opts)
	if err != nil {
		return err
	}
	s := &testSession{opts: opts, worlds: map[string]*testWorld{}}
	doc := testReport{Meta: output.NewMeta("PolicyTestReport"), Items: []testItem{}}
	var ran []testRan
	for _, t := range files {
		r, err := s.run(ctx, t, func(name string) bool { return pick.MatchString(t.Name + "/" + name) })
		if err != nil {
			return err
		}
		ran = append(ran, r)
		doc.add(r, opts.Verbose)
	}
	if len(doc.Items) == 0 {
		return cli.Usage("the same without --run and with -v, which tells their names", "no case is called like %q", opts.Run)
	}
	if opts.Live {
		doc.countProbed()
	}
	if err := printTests(opts, &doc, ran); err != nil {
		return err
	}
	return doc.answer()
}

// testRan is a test with what became of it.
type testRan struct {
	policytest.Report
	world *testWorld
	took  time.Duration
}

// answer is exit code 2 if a case could not be judged, 1 if one failed.
func (d *testReport) answer() error {
	if n := d.Summary.Errors; n > 0 {
		return &cli.Error{What: plural(n, "case") + " could not be judged", Try: "correct the names and ports in the test"}
	}
	return cli.Answer(d.Summary.Failed == 0)
}
