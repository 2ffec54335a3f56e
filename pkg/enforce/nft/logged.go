//go:build linux

package nft

import (
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// LogKey names what rules log: the nflog group and the prefix.
type LogKey struct {
	Group  uint16
	Prefix string
}

// Logged counts the packets that came to rules that log, those included that a
// limit kept from the log: the counter of the same rule, or of a rule after it
// in its chain. A counter starts anew with its chain. It lists all rules, which
// takes milliseconds.
func (k *Kernel) Logged() (map[LogKey]uint64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	counts, last := map[LogKey]uint64{}, map[string]LogKey{}
	err := k.dump(unix.NFT_MSG_GETRULE, func(m nfnl.Message) {
		r := decodeRule(m.Body)
		if !r.ours {
			return
		}
		key, logs := last[r.chain]
		if r.log != nil {
			key, logs = *r.log, true
			last[r.chain] = key
		}
		if logs && r.counts {
			counts[key] += r.packets
		}
	})
	return counts, err
}

// counting is what Logged needs of a rule.
type counting struct {
	ours    bool
	chain   string
	log     *LogKey
	counts  bool
	packets uint64
}

func decodeRule(body []byte) (r counting) {
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		switch typ {
		case unix.NFTA_RULE_TABLE:
			r.ours = nfnl.String(data) == Table
		case unix.NFTA_RULE_CHAIN:
			r.chain = nfnl.String(data)
		case unix.NFTA_RULE_EXPRESSIONS:
			nfnl.Attrs(data, func(_ uint16, data []byte) { r.expression(data) })
		}
	})
	return r
}

func (r *counting) expression(data []byte) {
	name := ""
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		switch {
		case typ == unix.NFTA_EXPR_NAME:
			name = nfnl.String(data)
		case typ == unix.NFTA_EXPR_DATA && name == "counter":
			nfnl.Attrs(data, func(typ uint16, data []byte) {
				if typ == unix.NFTA_COUNTER_PACKETS {
					r.counts, r.packets = true, nfnl.Uint64(data)
				}
			})
		case typ == unix.NFTA_EXPR_DATA && name == "log":
			r.log = &LogKey{}
			nfnl.Attrs(data, func(typ uint16, data []byte) {
				switch typ {
				case unix.NFTA_LOG_GROUP:
					r.log.Group = nfnl.Uint16(data)
				case unix.NFTA_LOG_PREFIX:
					r.log.Prefix = nfnl.String(data)
				}
			})
		}
	})
}
