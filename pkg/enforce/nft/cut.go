//go:build linux

package nft

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
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

// Cut is a connection's direction that is in a cut set.
type Cut struct {
	// Key is laid out as Element.Key is.
	Key string
	// Left is for how long it stays there.
	Left time.Duration
}

// Cuts lists what one of the External sets holds, also what a process before
// this one put there.
func (k *Kernel) Cuts(set string) (list []Cut, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.programmed == nil {
		return nil, ErrNotProgrammed
	}
	err = k.dumpOf(unix.NFT_MSG_GETSETELEM, k.names.kernel(set), func(m nfnl.Message) {
		nfnl.Attrs(m.Body, func(typ uint16, data []byte) {
			if typ == unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				nfnl.Attrs(data, func(_ uint16, data []byte) { list = append(list, decodeCut(data)) })
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("set %s: %w", set, err)
	}
	return list, nil
}

func decodeCut(data []byte) (c Cut) {
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_SET_ELEM_KEY:
			nfnl.Attrs(data, func(_ uint16, data []byte) { c.Key = string(data) })
		case unix.NFTA_SET_ELEM_EXPIRATION:
			c.Left = time.Duration(nfnl.Uint64(data)) * time.Millisecond
		}
	})
	return c
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
