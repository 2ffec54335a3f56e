//go:build linux

package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// commit sends a batch and returns what the kernel said: nil only if it took
// all of it.
func (k *Kernel) commit(b *batch) error {
	if b.err != nil {
		return b.err
	}
	if b.empty() {
		return nil
	}
	messages := b.close()
	if len(messages) > k.limit {
		return errTooBig
	}
	if k.fault != nil {
		messages = k.fault(messages)
	}
	err := k.exchange(messages, b.labels)
	if err != nil {
		if !b.optional {
			k.stats.Failed++
		}
		return err
	}
	k.stats.Commits++
	return nil
}

// exchange sends a batch. The kernel works it off before the send returns, so
// all answers wait in the receive buffer then.
func (k *Kernel) exchange(messages []byte, labels []string) error {
	k.drain()
	if err := k.conn.Send(messages); err != nil {
		return fmt.Errorf("send rules: %w", err)
	}
	acknowledged := false
	for {
		n, err := k.conn.TryReceive(k.answer)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return fmt.Errorf("answer to rules: %w", err)
		}
		for rest := k.answer[:n]; len(rest) > 0; {
			var m nfnl.Message
			if m, rest, err = nfnl.Next(rest); err != nil {
				return err
			}
			if m.Type != unix.NLMSG_ERROR {
				continue
			}
			if m.Err != nil {
				return refusal(m, labels)
			}
			acknowledged = true
		}
	}
	if !acknowledged {
		return errors.New("the kernel did not answer to the rules")
	}
	return nil
}

// refusal names the message that the kernel did not take.
func refusal(m nfnl.Message, labels []string) error {
	err := m.Err
	if errors.Is(err, unix.EPERM) {
		err = ErrNoPermission
	}
	if m.Seq >= 1 && int(m.Seq) <= len(labels) {
		return fmt.Errorf("%s: %w", labels[m.Seq-1], err)
	}
	return fmt.Errorf("batch: %w", err)
}

// drain forgets answers of an earlier exchange that ended in an error.
func (k *Kernel) drain() {
	for {
		if _, err := k.conn.TryReceive(k.answer); errors.Is(err, unix.EAGAIN) || k.closed(err) {
			return
		}
	}
}

func (k *Kernel) closed(err error) bool {
	return err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EMSGSIZE)
}

// dump asks for all objects of a kind in our table, or for the tables of every
// family, and calls each for them.
func (k *Kernel) dump(kind uint16, each func(m nfnl.Message)) error { return k.dumpOf(kind, "", each) }

// dumpOf is dump for what a set holds, which is given by the kernel's name.
func (k *Kernel) dumpOf(kind uint16, set string, each func(m nfnl.Message)) error {
	for {
		var found []nfnl.Message
		err := k.dumpOnce(kind, set, &found)
		if errors.Is(err, unix.EINTR) {
			continue // somebody changed the list meanwhile
		}
		if err != nil {
			return err
		}
		for _, m := range found {
			each(m)
		}
		return nil
	}
}

func (k *Kernel) dumpOnce(kind uint16, set string, found *[]nfnl.Message) error {
	k.drain()
	var enc nfnl.Encoder
	family := uint8(unix.NFPROTO_INET)
	if kind == unix.NFT_MSG_GETTABLE {
		family = unix.NFPROTO_UNSPEC
	}
	enc.Begin(nfnl.Header{
		Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | kind,
		Flags: unix.NLM_F_DUMP, Seq: 1, Family: family,
	})
	if kind != unix.NFT_MSG_GETTABLE {
		enc.String(1, Table) // NFTA_*_TABLE is 1 everywhere
	}
	if set != "" {
		enc.String(unix.NFTA_SET_ELEM_LIST_SET, set)
	}
	enc.End()
	if err := k.conn.Send(enc.Bytes()); err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	interrupted := false
	for {
		n, err := k.conn.TryReceive(k.answer)
		if err != nil {
			return fmt.Errorf("list rules: %w", err)
		}
		// What is kept must not share the buffer of the next answer.
		for rest := append([]byte(nil), k.answer[:n]...); len(rest) > 0; {
			var m nfnl.Message
			if m, rest, err = nfnl.Next(rest); err != nil {
				return err
			}
			interrupted = interrupted || m.Flags&unix.NLM_F_DUMP_INTR != 0
			switch m.Type {
			case unix.NLMSG_ERROR:
				if errors.Is(m.Err, unix.EPERM) {
					return ErrNoPermission
				}
				if m.Err != nil {
					return fmt.Errorf("list rules: %w", m.Err)
				}
			case unix.NLMSG_DONE:
				if interrupted {
					return unix.EINTR
				}
				return nil
			default:
				*found = append(*found, m)
			}
		}
	}
}
