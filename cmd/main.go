// Package cmd is the command line: one file a command, each of them flags →
// Options → one call into pkg/ → output.
package cmd

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/cni"
)

// Main runs netpol with the process's arguments and streams, and returns the
// exit code.
func Main() int {
	if len(os.Args) == 1 && os.Getenv("CNI_COMMAND") != "" { // a container runtime calls
		return cni.Plugin{Version: programVersion()}.Main()
	}
	kube.Quiet()
	cobra.EnableCommandSorting = false // help lists commands as they follow in use
	streams := cli.SystemStreams(os.Getenv("NO_COLOR"))
	signals := endings()
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	// A second Ctrl-C ends the process at once, whatever a command waits for. A second
	// SIGHUP does not: when a terminal goes, kernel and shell send one each.
	if slices.Contains(signals, os.Signal(syscall.SIGHUP)) {
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	context.AfterFunc(ctx, stop)
	return Run(ctx, streams, os.Args)
}

// endings are the signals that end a command in good order. A terminal that is gone is
// one: who has cut himself off by what he enforced has a command on guard that is to
// take it back. Under nohup it is not.
func endings() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

// Run runs netpol with args (args[0] is the program's name) and returns the
// exit code.
func Run(ctx context.Context, streams *cli.Streams, args []string) int {
	config, err := cli.NewConfig()
	if err != nil {
		cli.Report(streams.Err, err)
		return cli.Code(err)
	}
	f := cli.New(streams, config)
	f.Context = ctx
	root, err := NewCmdRoot(f, args[0])
	if err == nil {
		root.SetArgs(arguments(args))
		err = root.ExecuteContext(ctx)
	}
	f.Report(err)
	if err != nil && ctx.Err() != nil {
		return cli.ExitInterrupted // whatever the interruption made of it
	}
	return cli.Code(err)
}

// kubectlCompleter is the program that kubectl runs to complete the arguments of its
// plugin: netpol by another name.
const kubectlCompleter = "kubectl_complete-netpol"

// arguments are those of the command line, for cobra.
func arguments(args []string) []string {
	if programName(args[0]) == kubectlCompleter {
		return append([]string{cobra.ShellCompRequestCmd}, args[1:]...)
	}
	return args[1:]
}

// programName is a program's name without its directory and extension.
func programName(path string) string {
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}
