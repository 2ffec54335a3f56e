//go:build linux

package nft

import (
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// decodeChain reads a chain's name and hook; ok is false for chains of other
// tables (old kernels list them all).
func decodeChain(body []byte) (name string, hook *ruleset.Hook, ok bool) {
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_CHAIN_TABLE:
			ok = nfnl.String(data) == Table
		case unix.NFTA_CHAIN_NAME:
			name = nfnl.String(data)
		case unix.NFTA_CHAIN_HOOK:
			hook = decodeHook(data)
		}
	})
	return name, hook, ok && name != ""
}

func decodeHook(data []byte) *ruleset.Hook {
	hook := &ruleset.Hook{}
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_HOOK_HOOKNUM:
			hook.Name = hookName(nfnl.Uint32(data))
		case unix.NFTA_HOOK_PRIORITY:
			hook.Priority = int(int32(nfnl.Uint32(data)))
		}
	})
	return hook
}

func hookName(number uint32) string {
	for _, name := range []string{"prerouting", "input", "forward", "output", "postrouting"} {
		if n, _ := hookNumber(name); n == number {
			return name
		}
	}
	return ""
}

// decodeSet reads a set's name and layout.
func decodeSet(body []byte) (name string, l layout, ok bool) {
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_SET_TABLE:
			ok = nfnl.String(data) == Table
		case unix.NFTA_SET_NAME:
			name = nfnl.String(data)
		case unix.NFTA_SET_FLAGS:
			l.flags = nfnl.Uint32(data)
		case unix.NFTA_SET_KEY_TYPE:
			l.keyType = nfnl.Uint32(data)
		case unix.NFTA_SET_KEY_LEN:
			l.keyLen = nfnl.Uint32(data)
		}
	})
	return name, l, ok && name != ""
}

func layoutOf(s *ruleset.Set) (layout, error) {
	typ, err := keyType(s.Fields)
	return layout{flags: setFlags(s), keyType: typ, keyLen: uint32(keyLen(s.Fields))}, err
}
