//go:build linux

package nft

import (
	"errors"
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

// msgDestroySetElem deletes elements, and those that are gone are no error
// (NFT_MSG_DESTROYSETELEM of linux/netfilter/nf_tables.h).
const msgDestroySetElem = 30

// RemoveCut takes connections out of one of the External sets again. One that
// is not there, its time being over, is no error. All go at once where the
// kernel can (6.3 and later); elsewhere each goes by itself, since it refuses a
// batch for a single one that is gone.
func (k *Kernel) RemoveCut(set string, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	if k.remove(set, msgDestroySetElem, keys) == nil {
		return nil
	}
	for i := range keys {
		if err := k.remove(set, unix.NFT_MSG_DELSETELEM, keys[i:i+1]); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

func (k *Kernel) remove(set string, kind uint16, keys []string) error {
	return k.cut(set, func(b *batch, s *ruleset.Set) {
		e := elements{b: b, set: s, name: k.names.kernel(set), kname: k.names.kernel, kind: kind}
		for _, key := range keys {
			e.one(&ruleset.Element{Key: key})
		}
		e.finish()
		b.optional = true
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
