//go:build linux

package nft

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Table flags: owned by a socket, and staying when the socket is closed.
// Without the second (kernels 5.12 to 6.8) the table would vanish with the
// process, so the first is never used alone.
const (
	tableOwner   = 0x2
	tablePersist = 0x4
)

func (k *Kernel) tableFlags() uint32 {
	if k.owned {
		return tableOwner | tablePersist
	}
	return 0
}

// takeTable creates or adopts the table and tells whether it is owned. When
// an owner ends, the kernel takes the owner flag off and leaves the other.
func (k *Kernel) takeTable() (owned bool, err error) {
	exists, flags, owner, err := k.findTable()
	if err != nil {
		return false, err
	}
	if exists {
		if k.found, err = k.list(); err != nil {
			return false, err
		}
		k.adopted = k.found.enforces()
	}
	switch {
	case exists && k.inUse(table{flags: flags, owner: owner}):
		return false, ErrInUse
	case exists && flags&tablePersist != 0:
		err := k.createTable(tableOwner | tablePersist)
		return err == nil, err
	case exists:
		return false, nil // a plain one can't be given an owner
	case k.opts.NoOwner:
		return false, k.createTable(0)
	}
	err = k.createTable(tableOwner | tablePersist)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return false, k.createTable(0)
	}
	return err == nil, err
}

// enforces says whether some chain is at a hook: a process that ended before
// its first commit leaves a table that judges nothing.
func (p present) enforces() bool {
	for _, hook := range p.chains {
		if hook != nil {
			return true
		}
	}
	return false
}

func (k *Kernel) createTable(flags uint32) error {
	b := newBatch(k.limit, nil)
	b.addTable(flags)
	return k.commit(b)
}

// findTable looks for our table.
func (k *Kernel) findTable() (exists bool, flags, owner uint32, err error) {
	tables, err := k.tables()
	for _, t := range tables {
		if t.family == unix.NFPROTO_INET {
			return true, t.flags, t.owner, err
		}
	}
	return false, 0, 0, err
}

// table is one of our name, of whatever family.
type table struct {
	family       uint8
	flags, owner uint32
}

// inUse says whether another process owns the table.
func (k *Kernel) inUse(t table) bool { return t.flags&tableOwner != 0 && t.owner != k.conn.PortID() }

func (k *Kernel) tables() (out []table, err error) {
	err = k.dump(unix.NFT_MSG_GETTABLE, func(m nfnl.Message) {
		var name string
		t := table{family: m.Family}
		nfnl.Attrs(m.Body, func(typ uint16, data []byte) {
			switch typ {
			case unix.NFTA_TABLE_NAME:
				name = nfnl.String(data)
			case unix.NFTA_TABLE_FLAGS:
				t.flags = nfnl.Uint32(data)
			case nftaTableOwner:
				t.owner = nfnl.Uint32(data)
			}
		})
		if name == Table {
			out = append(out, t)
		}
	})
	return out, err
}

const nftaTableOwner = 7
