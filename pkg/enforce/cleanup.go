//go:build linux

package enforce

import (
	"errors"
	"fmt"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
)

// Cleanup removes the rules that agents have left on this node, and tells the
// names of the tables that they were in. Beside a living agent it removes
// nothing (nft.ErrInUse): that has its group of refusals, also where the kernel
// can't tell whose a table is (before 6.9), and none can come meanwhile.
func Cleanup() (removed []string, err error) {
	held, err := collect.OpenLog(collect.Options{}, DenyGroup)
	if errors.Is(err, collect.ErrGroupTaken) {
		return nil, fmt.Errorf("%w: %w", nft.ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	return nft.Cleanup(nft.Options{})
}
