//go:build linux

package enforce

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
)

// takeOverFor is how long a former agent may take to end.
const takeOverFor = 10 * time.Second

// takeOver tries again for a while what a former agent has not let go of yet.
func takeOver(ctx context.Context, log *slog.Logger, try func() error) error {
	told := false
	for end := time.Now().Add(takeOverFor); ; {
		err := try()
		busy := errors.Is(err, nft.ErrInUse) || errors.Is(err, collect.ErrGroupTaken) || errors.Is(err, unix.EADDRINUSE)
		if !busy || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		if !told {
			log.Info("waiting for a former agent to end", "reason", err)
			told = true
		}
		pause(ctx, 20*time.Millisecond)
	}
}
