//go:build !linux

package cmd

import (
	"context"
	"net/netip"
	"runtime"

	"github.com/netpol-project/netpol/internal/cli"
)

// runAgent says that this is not the place.
func runAgent(context.Context, *AgentOptions, string, []netip.Prefix) error {
	return cli.Usage("netpol --dir DIRECTORY connectivity",
		"the agent enforces with Linux' packet filter; this is %s", runtime.GOOS)
}
