//go:build !linux

package node

import (
	"context"

	"github.com/netpol-project/netpol/internal/lab"
)

// Main can't.
func Main(context.Context) error { return lab.ErrNotLinux }
