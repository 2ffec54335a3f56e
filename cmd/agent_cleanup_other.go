//go:build !linux

package cmd

import (
	"runtime"

	"github.com/netpol-project/netpol/internal/cli"
)

// removeRules says that this is not the place.
func removeRules() ([]string, error) {
	return nil, cli.Usage("netpol uninstall", "only Linux has rules to remove; this is %s", runtime.GOOS)
}
