package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/examples"
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/demo"
	"github.com/netpol-project/netpol/internal/output"
)

// NewCmdLabDemo is "netpol lab demo".
func NewCmdLabDemo(f *cli.Factory) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Run the whole workshop: from open to closed in a minute",
		Long: `Run the workshop on the example applications, in a lab of its own: watch the
traffic, stage a default deny, see what it would block, recommend what is
missing, enforce, and prove it. Each step is a command that you can type
yourself, and its outcome is checked: the exit code is 1 if one is not as said.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return labDemoRun(cmd.Context(), f.IO) },
	}
}

// labDemoRun runs the demo's commands in this process, as if they were typed.
func labDemoRun(ctx context.Context, streams *cli.Streams) (err error) {
	name := "demo-" + strconv.Itoa(os.Getpid())
	dir, err := os.MkdirTemp("", "netpol-demo-")
	if err != nil {
		return err
	}
	guard, err := startGuard(name, dir)
	if err != nil {
		return errors.Join(err, os.RemoveAll(dir))
	}
	defer func() { err = errors.Join(err, guard.end()) }()
	apps, err := exampleDir(dir)
	if err != nil {
		return err
	}
	run := func(ctx context.Context, s *cli.Streams, args []string) int {
		return Run(ctx, s, append([]string{"netpol", "--lab", name}, args...))
	}
	err = demo.Run(ctx, demo.Options{
		Examples: apps, Dir: dir, Console: demoConsole{streams.Printer()},
		Show: func(ctx context.Context, args ...string) int { return run(ctx, streams, args) },
		Ask: func(ctx context.Context, args ...string) (string, string, int) {
			var out, errOut bytes.Buffer
			code := run(ctx, &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errOut}, args)
			return out.String(), errOut.String(), code
		},
		Down: func(ctx context.Context) error { return downIfUp(ctx, name) },
	})
	if errors.Is(err, demo.ErrFailed) {
		return cli.Refuse(demo.ErrFailed.Error(), nil, "netpol lab demo")
	}
	return err
}

func downIfUp(ctx context.Context, name string) error {
	if err := lab.Down(ctx, name); !errors.Is(err, lab.ErrNotRunning) {
		return err
	}
	return nil
}

// demoConsole shows the demo's words.
type demoConsole struct{ p *output.Printer }

func (c demoConsole) Heading(text string) { c.p.Heading(text, false) }
func (c demoConsole) Say(text string)     { c.p.Printf("%s\n", text) }
func (c demoConsole) Command(line string) {
	c.p.Printf("\n")
	c.p.Line(output.Cell{Text: "$", Style: output.Faint}, output.Cell{Text: line, Style: output.Strong})
}
func (c demoConsole) Passed(text string) {
	c.p.Line(output.Judged(true, "✓"), output.Cell{Text: text})
}
func (c demoConsole) Failed(text string) {
	c.p.Line(output.Judged(false, "✗"), output.Cell{Text: text})
}

// exampleDir is where the example applications are: here, if this is the
// source tree, or else a copy in dir.
func exampleDir(dir string) (string, error) {
	here := func(app string) bool {
		info, err := os.Stat(filepath.Join("examples", app, "namespace.yaml"))
		return err == nil && info.Mode().IsRegular()
	}
	if here("vote") && here("wordpress") {
		return "examples", nil
	}
	dir = filepath.Join(dir, "examples")
	return dir, os.CopyFS(dir, examples.FS)
}

// guard is a process that ends the demo's lab and removes its files, also if
// the demo is killed: it waits for the end of its standard input.
type guard struct {
	cmd *exec.Cmd
	in  io.Closer
}

func startGuard(name, dir string) (*guard, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	g := &guard{cmd: exec.Command(exe, "--lab", name, "lab", "guard", dir)}
	g.cmd.SysProcAttr = ownSession() // Ctrl-C is for the demo
	if g.in, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	return g, g.cmd.Start()
}

// end lets the guard go.
func (g *guard) end() error { return errors.Join(g.in.Close(), g.cmd.Wait()) }

// newCmdLabGuard is the hidden "netpol lab guard".
func newCmdLabGuard(f *cli.Factory) *cobra.Command {
	return &cobra.Command{
		Use: "guard DIRECTORY", Short: "End a lab when standard input ends", Hidden: true, Args: exactArgs("DIRECTORY"),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := io.Copy(io.Discard, f.IO.In); err != nil {
				return err
			}
			return errors.Join(downIfUp(context.Background(), labName(f)()), os.RemoveAll(args[0]))
		},
	}
}
