package demo

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fake is a netpol that answers from a table, and a console.
type fake struct {
	codes   map[string]int    // exit codes, by the first words of a command
	answers map[string]string // JSON, likewise
	ran     []string
	spoken  strings.Builder
	downs   int
	onRun   func(line string)
}

func (f *fake) Heading(s string) { f.spoken.WriteString("# " + s + "\n") }
func (f *fake) Say(s string)     { f.spoken.WriteString(s + "\n") }
func (f *fake) Command(s string) { f.spoken.WriteString("$ " + s + "\n") }
func (f *fake) Passed(s string)  { f.spoken.WriteString("passed " + s + "\n") }
func (f *fake) Failed(s string)  { f.spoken.WriteString("failed " + s + "\n") }

func (f *fake) ask(_ context.Context, args ...string) (string, string, int) {
	line := strings.Join(args, " ")
	f.ran = append(f.ran, line)
	if f.onRun != nil {
		f.onRun(line)
	}
	out, code := "", 0
	for prefix, c := range f.codes {
		if strings.HasPrefix(line, prefix) {
			code = c
		}
	}
	for prefix, a := range f.answers {
		if strings.HasPrefix(line, prefix) {
			out = a
		}
	}
	return out, "", code
}

func (f *fake) options(t *testing.T) Options {
	return Options{
		Show: func(ctx context.Context, args ...string) int { _, _, code := f.ask(ctx, args...); return code },
		Ask:  f.ask, Console: f, Examples: "examples", Dir: t.TempDir(),
		Down: func(ctx context.Context) error { f.downs++; return ctx.Err() },
	}
}

func TestFailureEndsTheDemoAndTheLab(t *testing.T) {
	f := &fake{codes: map[string]int{"lab up": 2}}
	if err := Run(t.Context(), f.options(t)); !errors.Is(err, ErrFailed) {
		t.Errorf("error %v, want ErrFailed", err)
	}
	if len(f.ran) != 1 || f.downs != 1 || !strings.Contains(f.spoken.String(), "failed exit code 2, expected 0") {
		t.Errorf("ran %q, %d times down, said:\n%s", f.ran, f.downs, f.spoken.String())
	}
}

func TestInterruptEndsTheLab(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{onRun: func(string) { cancel() }}
	if err := Run(ctx, f.options(t)); !errors.Is(err, context.Canceled) || errors.Is(err, ErrFailed) {
		t.Errorf("error %v, want that it was interrupted", err)
	}
	if f.downs != 1 || strings.Contains(f.spoken.String(), "failed") {
		t.Errorf("%d times down, said:\n%s", f.downs, f.spoken.String())
	}
}

func TestChecksSeeWhatIsWrong(t *testing.T) {
	const pair = `"source":{"namespace":"vote","workload":"vote"},"destination":{"namespace":"vote","workload":"db"},"port":5432`
	for name, tc := range map[string]struct {
		check   func(context.Context, *run) error
		command string
		good    string
		bad     []string
	}{
		"connects": {connects(), "probe", `{"summary":{"pairs":1,"connected":1},"items":[{}]}`, []string{
			`{"summary":{"pairs":2,"connected":1},"items":[{},{}]}`, `{}`, `x`,
		}},
		"blocked": {blocked("db"), "probe", `{"items":[{"result":"blocked","deniedBy":{"name":"db"}}]}`, []string{
			`{"items":[{"result":"blocked","deniedBy":{"name":"other"}}]}`, `{"items":[{"result":"connected"}]}`, `{"items":[{"result":"error"}]}`, `{}`,
		}},
		"onlyNeeded": {onlyNeeded("vote", "vote/vote → vote/db:5432"), "probe", `{"items":[{"result":"connected",` + pair + `},{"result":"blocked"}]}`, []string{
			`{"items":[{"result":"blocked",` + pair + `}]}`, `{"items":[{"result":"connected",` + pair + `},{"result":"error"}]}`,
			`{"items":[{"result":"connected",` + pair + `},{"result":"connected"}]}`,
		}},
		"reports": {reports("d", "vote/vote → vote/db:5432"), "report", `{"items":[{` + pair + `,"blockedBy":{"name":"d"}}]}`, []string{
			`{"items":[]}`, `{"items":[{` + pair + `,"blockedBy":{"name":"x"}}]}`, `{"items":[{` + pair + `},{"port":1}]}`,
		}},
		"nothingWouldBreak": {nothingWouldBreak("d"), "report", `{"summary":{"flows":{"observed":9}}}`, []string{
			`{"summary":{"flows":{"observed":9,"wouldBlock":1}},"items":[{}]}`, `{}`,
		}},
		"working": {working(2), "lab status", `{"agent":{"ready":true},"pods":[{"targets":[{"ok":2}]}]}`, []string{
			`{"agent":{"ready":true},"pods":[{"targets":[{"ok":1}]}]}`, `{"agent":{"ready":true},"pods":[{"targets":[{"ok":5,"failed":1}]}]}`,
			`{"pods":[]}`, `{"agent":{"ready":true,"problems":["p"]}}`, `{"agent":{"ready":true},"outside":{"targets":[{}]}}`,
		}},
		"inTier": {inTier("redis", "platform"), "get", `{"items":[{"kind":"NetworkPolicy","metadata":{"name":"redis"},"spec":{"tier":"platform"}}]}`, []string{
			`{"items":[{"kind":"NetworkPolicy","metadata":{"name":"redis"},"spec":{"tier":"default"}}]}`,
			`{"items":[{"kind":"StagedNetworkPolicy","metadata":{"name":"redis"},"spec":{"tier":"platform"}}]}`,
		}},
	} {
		ask := func(answer string) error {
			f := &fake{answers: map[string]string{tc.command: answer}}
			return tc.check(t.Context(), &run{f.options(t)})
		}
		if err := ask(tc.good); err != nil {
			t.Errorf("%s: %s: %v", name, tc.good, err)
		}
		for _, bad := range tc.bad {
			if ask(bad) == nil {
				t.Errorf("%s: passes with %s", name, bad)
			}
		}
	}
}

func TestEventuallyTriesAgainAndGivesUp(t *testing.T) {
	tries := 0
	check := eventually(10*time.Second, func(context.Context, *run) error {
		if tries++; tries < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	if err := check(t.Context(), nil); err != nil || tries != 3 {
		t.Errorf("%v after %d tries", err, tries)
	}
	never := eventually(time.Millisecond, func(context.Context, *run) error { return errors.New("never") })
	if err := never(t.Context(), nil); err == nil || err.Error() != "never" {
		t.Errorf("error %v", err)
	}
}

func TestCommandsAreShownAsTyped(t *testing.T) {
	r := &run{Options{Examples: "examples", Dir: "/tmp/x"}}
	a := act{args: []string{"probe", "-f", "examples/vote", "--selector", "app == 'db'", "--expect", "./e.json", "$x"}, into: "out.json"}
	want := `netpol probe -f examples/vote --selector "app == 'db'" --expect e.json '$x' > out.json`
	if got := line(r.shown(a)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	real := r.real(a.args)
	if real[2] != "examples/vote" || real[6] != filepath.Join("/tmp/x", "e.json") {
		t.Errorf("%q", real)
	}
	r.Examples = "/tmp/x/examples"
	if got := line(r.shown(act{args: words("lab up -f examples/vote")})); got != "netpol lab up -f /tmp/x/examples/vote" {
		t.Errorf("%s", got)
	}
}

func TestRedirectedOutputIsWritten(t *testing.T) {
	f := &fake{answers: map[string]string{"connectivity": "{}"}}
	o := f.options(t)
	r := &run{o}
	if err := r.act(t.Context(), act{args: words("connectivity"), into: "e.json"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(o.Dir, "e.json")); err != nil || string(data) != "{}" {
		t.Errorf("%q, %v", data, err)
	}
}

func TestWorkshopHasItsNineSteps(t *testing.T) {
	all := steps()
	if len(all) != 9 {
		t.Fatalf("%d steps", len(all))
	}
	for _, s := range all {
		proved := false
		for _, a := range s.acts {
			proved = proved || a.check != nil
			if (a.check != nil) != (a.proves != "") {
				t.Errorf("%s: netpol %s: a check and what it proves belong together", s.title, line(a.args))
			}
		}
		if s.title == "" || s.say == "" || !proved {
			t.Errorf("step %q proves nothing", s.title)
		}
	}
}
