package cmd

import (
	"context"
	"errors"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
)

// cleanupRun is "netpol agent --cleanup".
func cleanupRun(ctx context.Context, opts *AgentOptions) error {
	if !opts.Cleanup {
		return cli.Usage("netpol agent --cleanup --stay", "--stay is for --cleanup: an agent stays anyway")
	}
	removed, err := removeRules()
	if err != nil {
		var typed *cli.Error
		if errors.As(err, &typed) {
			return err
		}
		return &cli.Error{What: "the rules can't be removed: " + err.Error(),
			Try: "end the agent first, then the same as root", Err: err}
	}
	p := opts.Factory.IO.Printer()
	if len(removed) == 0 {
		p.Printf("there are no rules of netpol on this node\n")
	} else {
		p.Printf("removed table %s\n", strings.Join(removed, ", table "))
	}
	if opts.Stay {
		<-ctx.Done() // to be ended is what it waits for
	}
	return nil
}
