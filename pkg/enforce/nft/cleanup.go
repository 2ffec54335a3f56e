//go:build linux

package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// families are those in which netpol may have a table.
var families = map[uint8]string{unix.NFPROTO_INET: "inet", unix.NFPROTO_BRIDGE: "bridge"}

// Cleanup deletes the tables that agents have left, inet netpol and bridge
// netpol, and tells their names; that there are none is no error. It never takes
// a table from its owner (ErrInUse); of agents on kernels that know no owners
// (before 6.9) enforce.Cleanup knows.
func Cleanup(opts Options) (removed []string, err error) {
	conn, err := nfnl.Open(nfnl.Options{NetNS: opts.NetNS})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	k := &Kernel{opts: opts, conn: conn, limit: conn.WriteBuffer(), answer: make([]byte, 1<<16)}
	tables, err := k.tables()
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		family, ours := families[t.family]
		switch {
		case !ours:
			continue
		case k.inUse(t):
			return removed, ErrInUse
		}
		b := newBatch(k.limit, nil)
		b.family = t.family
		b.delTable()
		if err := k.commit(b); err != nil && !errors.Is(err, unix.ENOENT) {
			return removed, fmt.Errorf("%s: %w", family, err)
		}
		removed = append(removed, family+" "+Table)
	}
	return removed, nil
}
