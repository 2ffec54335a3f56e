package cmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
)

// cleanupRun is "netpol agent --cleanup".
func cleanupRun(ctx context.Context, opts *AgentOptions) error {
	if !opts.Cleanup {
		return cli.Usage("netpol agent --cleanup --stay", "--stay and --cni-bin-dir are for --cleanup: an agent stays anyway, and leaves the plugin alone")
	}
	if (opts.CNIBinDir == "") != (opts.CNIConfDir == "") {
		return cli.Usage("netpol agent --help", "--cni-bin-dir and --cni-conf-dir must be given together")
	}
	p := opts.Factory.IO.Printer()
	for first := true; ; first = false {
		// A plugin without an agent lets no pod start: it goes first.
		if opts.CNIBinDir != "" {
			names, err := cniPlugin(opts.CNIBinDir, opts.CNIConfDir).Take()
			if err != nil {
				return cniError("the CNI plugin can't be taken off this node", err)
			}
			if len(names) > 0 {
				p.Printf("took the CNI plugin out of %s\n", strings.Join(names, ", "))
			}
		}
		removed, err := removeRules()
		if err != nil {
			return cleanupError(err)
		}
		if len(removed) > 0 {
			p.Printf("removed table %s\n", strings.Join(removed, ", table "))
		} else if first {
			p.Printf("there are no rules of netpol on this node\n")
		}
		if !opts.Stay {
			return nil
		}
		// An agent that had not ended yet may have put its rules back.
		select {
		case <-ctx.Done():
			return nil // to be ended is what it waits for
		case <-time.After(cleanupAgain):
		}
	}
}

// cleanupAgain is how often a cleanup that stays looks again.
const cleanupAgain = 2 * time.Second

func cleanupError(err error) error {
	var typed *cli.Error
	if errors.As(err, &typed) {
		return err
	}
	return &cli.Error{What: "the rules can't be removed: " + err.Error(),
		Try: "end the agent first, then the same as root", Err: err}
}
