//go:build linux

package nft

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// AddCut puts connections into one of the External sets for a time. Keys are
// laid out as Element.Key is. A key that is there already gets the new time
// where the kernel can (6.12 and later), else it keeps its own.
func (k *Kernel) AddCut(set string, keys []string, timeout time.Duration) error {
	if len(keys) == 0 {
		return nil
	}
	return k.cut(set, func(b *batch, s *ruleset.Set) {
		e := elements{b: b, set: s, name: k.names.kernel(set), kname: k.names.kernel,
			kind: unix.NFT_MSG_NEWSETELEM, timeout: timeout}
		for _, key := range keys {
			e.one(&ruleset.Element{Key: key})
		}
		e.finish()
	})
}

// ClearCut empties one of the External sets.
func (k *Kernel) ClearCut(set string) error {
	return k.cut(set, func(b *batch, _ *ruleset.Set) {
		b.begin(unix.NFT_MSG_DELSETELEM, 0, "empty set "+set)
		b.enc.String(unix.NFTA_SET_ELEM_LIST_TABLE, Table)
		b.enc.String(unix.NFTA_SET_ELEM_LIST_SET, k.names.kernel(set))
		b.end()
	})
}

func (k *Kernel) cut(set string, fill func(*batch, *ruleset.Set)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.programmed == nil {
		return ErrNotProgrammed
	}
	for _, s := range k.programmed.Sets {
		if s.Name == set && s.External && !s.Map {
			b := newBatch(k.limit, k.commit)
			fill(b, s)
			b.flush()
			return b.err
		}
	}
	return fmt.Errorf("no external set %q in the ruleset", set)
}
