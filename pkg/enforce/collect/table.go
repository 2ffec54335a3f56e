//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// table asks for and deletes entries of conntrack. Requests take turns.
type table struct {
	mu   sync.Mutex
	conn *nfnl.Conn
	buf  []byte
	seq  uint32
}

func openTable(netns int) (*table, error) {
	conn, err := nfnl.Open(nfnl.Options{NetNS: netns, ReadBuffer: 4 << 20})
	if err != nil {
		return nil, err
	}
	return &table{conn: conn, buf: make([]byte, 1<<16)}, nil
}

// dump calls each for every entry. Entries that come and go meanwhile may be
// missing or told twice.
func (t *table) dump(ctx context.Context, each func(*Connection)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{
		Type:  unix.NFNL_SUBSYS_CTNETLINK<<8 | ctGet,
		Flags: unix.NLM_F_DUMP, Seq: t.seq, Family: unix.AF_UNSPEC,
	})
	enc.End()
	if err := t.conn.Send(enc.Bytes()); err != nil {
		return fmt.Errorf("list connections: %w", err)
	}
	cancelled := false
	for {
		// A dump is read to its end even if nobody wants it any more: the next
		// request would get the rest.
		cancelled = cancelled || ctx.Err() != nil
		done, err := t.answers(func(m nfnl.Message) {
			if c, ok := decode(m.Body); ok && !cancelled {
				each(&c)
			}
		})
		if err != nil {
			return fmt.Errorf("list connections: %w", err)
		}
		if done {
			return ctx.Err()
		}
	}
}

// delete removes an entry; found is false if there is none such any more.
func (t *table) delete(c *Connection) (found bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.seq++
	family := uint8(unix.AF_INET)
	if !c.Original.Src.Is4() {
		family = unix.AF_INET6
	}
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{
		Type:  unix.NFNL_SUBSYS_CTNETLINK<<8 | ctDelete,
		Flags: unix.NLM_F_ACK, Seq: t.seq, Family: family,
	})
	encodeOriginal(&enc, c)
	if c.Zone != 0 {
		enc.Uint16(ctaZone, c.Zone)
	}
	if c.ID != 0 {
		enc.Uint32(ctaID, c.ID) // not one that has the same addresses now
	}
	enc.End()
	if err := t.conn.Send(enc.Bytes()); err != nil {
		return false, fmt.Errorf("delete connection: %w", err)
	}
	for {
		done, err := t.answers(func(nfnl.Message) {})
		switch {
		case errors.Is(err, unix.ENOENT):
			return false, nil
		case err != nil:
			return false, fmt.Errorf("delete connection: %w", err)
		case done:
			return true, nil
		}
	}
}

// answers reads one datagram of answers to the present request; done tells
// that there will be no more.
func (t *table) answers(each func(nfnl.Message)) (done bool, err error) {
	n, err := t.conn.Receive(t.buf)
	if err != nil {
		return false, err
	}
	for rest := t.buf[:n]; len(rest) > 0; {
		var m nfnl.Message
		if m, rest, err = nfnl.Next(rest); err != nil {
			return false, err
		}
		if m.Seq != t.seq {
			continue // of an earlier request that ended in an error
		}
		switch m.Type {
		case unix.NLMSG_ERROR, unix.NLMSG_DONE:
			return true, m.Err
		default:
			each(m)
		}
	}
	return false, nil
}

func (t *table) close() error {
	t.conn.Interrupt()
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.conn.Close()
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}
