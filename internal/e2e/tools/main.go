//go:build linux

// Command tools is what runs in the pods of a test cluster, besides netpol: the
// sandbox's pause process, the cluster's DNS server, a server and its clients.
// One static binary is the whole image.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	name, args := "pause", os.Args[1:]
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	commands := map[string]func(context.Context, []string) error{
		"pause": pause, "actor": runActor, "dns": serveDNS, "serve": serve, "dial": dial, "poll": poll, "hold": hold,
	}
	run, ok := commands[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "tools: no command %q in %s\n", name, strings.Join(os.Args, " "))
		os.Exit(2)
	}
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
		os.Exit(1)
	}
}

// pause holds a pod's namespaces.
func pause(ctx context.Context, _ []string) error {
	<-ctx.Done()
	return nil
}
