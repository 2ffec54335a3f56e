//go:build linux

package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// maxNest keeps an attribute of elements below netlink's 65 535 bytes.
const maxNest = 60_000

// elementRoom is more than any single element takes.
const elementRoom = 512

// errTooBig says that a batch does not fit into the granted send buffer.
var errTooBig = errors.New("batch is larger than the send buffer")

// batch collects messages that the kernel takes together or not at all.
type batch struct {
	enc   nfnl.Encoder
	limit int // bytes
	// commit sends what is full and starts anew; nil refuses to be split.
	commit func(*batch) error
	labels []string // what each message is about, for errors
	setID  uint32
	family uint8 // of the table
	err    error // the first
	// optional: that the kernel refuses it is no failure.
	optional bool
}

func newBatch(limit int, commit func(*batch) error) *batch {
	b := &batch{limit: limit, commit: commit, family: unix.NFPROTO_INET}
	b.open()
	return b
}

// open starts the batch; its first sequence number is 1.
func (b *batch) open() {
	b.enc.Reset()
	b.labels = b.labels[:0]
	b.enc.Begin(nfnl.Header{Type: unix.NFNL_MSG_BATCH_BEGIN, ResID: unix.NFNL_SUBSYS_NFTABLES})
	b.enc.End()
}

// empty tells whether there is nothing to send.
func (b *batch) empty() bool { return len(b.labels) == 0 }

const batchEndLen = 20

// close ends the batch and asks for an answer to its last message, so that
// silence can't be taken for success.
func (b *batch) close() []byte {
	b.enc.Flag(unix.NLM_F_ACK)
	b.enc.Begin(nfnl.Header{Type: unix.NFNL_MSG_BATCH_END, ResID: unix.NFNL_SUBSYS_NFTABLES})
	b.enc.End()
	return b.enc.Bytes()
}

func (b *batch) begin(kind, flags uint16, label string) {
	b.labels = append(b.labels, label)
	b.enc.Begin(nfnl.Header{
		Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | kind,
		Flags: flags, Seq: uint32(len(b.labels)), Family: b.family,
	})
}

// end ends a message; if the batch is too big with it, what was before goes
// first.
func (b *batch) end() {
	b.enc.End()
	if b.enc.Len()+batchEndLen <= b.limit || b.err != nil {
		return
	}
	if b.commit == nil || len(b.labels) == 1 {
		b.err = errTooBig
		return
	}
	last, label := b.enc.Take(), b.labels[len(b.labels)-1]
	b.labels = b.labels[:len(b.labels)-1]
	b.flush()
	b.labels = append(b.labels, label)
	b.enc.Append(last)
	b.enc.Seq(uint32(len(b.labels)))
}

// flush commits what there is.
func (b *batch) flush() {
	if b.err != nil || b.empty() {
		return
	}
	b.err = b.commit(b)
	b.open()
}

func (b *batch) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
}

func (b *batch) addTable(flags uint32) {
	b.begin(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, "table "+Table)
	b.enc.String(unix.NFTA_TABLE_NAME, Table)
	b.enc.Uint32(unix.NFTA_TABLE_FLAGS, flags)
	b.end()
}

func (b *batch) delTable() {
	b.begin(unix.NFT_MSG_DELTABLE, 0, "delete table "+Table)
	b.enc.String(unix.NFTA_TABLE_NAME, Table)
	b.end()
}

// hooks are the netfilter numbers of the hooks' names.
func hookNumber(name string) (uint32, bool) {
	switch name {
	case "prerouting":
		return unix.NF_INET_PRE_ROUTING, true
	case "input":
		return unix.NF_INET_LOCAL_IN, true
	case "forward":
		return unix.NF_INET_FORWARD, true
	case "output":
		return unix.NF_INET_LOCAL_OUT, true
	case "postrouting":
		return unix.NF_INET_POST_ROUTING, true
	}
	return 0, false
}

func (b *batch) addChain(c *ruleset.Chain, name string) {
	b.begin(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, "chain "+name)
	b.enc.String(unix.NFTA_CHAIN_TABLE, Table)
	b.enc.String(unix.NFTA_CHAIN_NAME, name)
	if c.Hook != nil {
		number, ok := hookNumber(c.Hook.Name)
		if !ok {
			b.fail("chain %s: hook %q is unknown", c.Name, c.Hook.Name)
		}
		b.enc.Nest(unix.NFTA_CHAIN_HOOK)
		b.enc.Uint32(unix.NFTA_HOOK_HOOKNUM, number)
		b.enc.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(int32(c.Hook.Priority)))
		b.enc.Unnest()
		b.enc.String(unix.NFTA_CHAIN_TYPE, "filter")
		b.enc.Uint32(unix.NFTA_CHAIN_POLICY, 1) // accept
	}
	b.comment(nftaChainUserdata, udataChainComment, c.Comment)
	b.end()
}

func (b *batch) delChain(name string) {
	b.begin(unix.NFT_MSG_DELCHAIN, 0, "delete chain "+name)
	b.enc.String(unix.NFTA_CHAIN_TABLE, Table)
	b.enc.String(unix.NFTA_CHAIN_NAME, name)
	b.end()
}

// flushChain deletes a chain's rules.
func (b *batch) flushChain(name string) {
	b.begin(unix.NFT_MSG_DELRULE, 0, "flush chain "+name)
	b.enc.String(unix.NFTA_RULE_TABLE, Table)
	b.enc.String(unix.NFTA_RULE_CHAIN, name)
	b.end()
}

func (b *batch) addRules(c *ruleset.Chain, kname func(string) string) {
	for i := range c.Rules {
		b.addRule(c, i, kname)
	}
}

func (b *batch) addRule(c *ruleset.Chain, i int, kname func(string) string) {
	r := &c.Rules[i]
	steps, err := expressions(r, kname)
	if err != nil {
		b.fail("chain %s rule %d: %w", c.Name, i, err)
		return
	}
	b.begin(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, "rule of chain "+c.Name)
	b.enc.String(unix.NFTA_RULE_TABLE, Table)
	b.enc.String(unix.NFTA_RULE_CHAIN, kname(c.Name))
	b.enc.Nest(unix.NFTA_RULE_EXPRESSIONS)
	for _, step := range steps {
		data, err := expr.Marshal(unix.NFPROTO_INET, step)
		if err != nil {
			b.fail("chain %s rule %d: %w", c.Name, i, err)
			break
		}
		b.enc.Put(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, data)
	}
	b.enc.Unnest()
	b.comment(unix.NFTA_RULE_USERDATA, udataRuleComment, r.Comment)
	b.end()
}

// The places of comments in nft's user data.
const (
	nftaChainUserdata = 12

	udataRuleComment  = 0
	udataChainComment = 0
	udataSetKeyOrder  = 0
	udataSetComment   = 7
	maxComment        = 120
)

// comment adds a comment where nft looks for it. What is too long is cut: a
// comment must not be what keeps rules out of the kernel.
func (b *batch) comment(attr uint16, kind byte, text string) {
	if data := commentData(kind, text); len(data) > 0 {
		b.enc.Put(attr, data)
	}
}

func commentData(kind byte, text string) []byte {
	if text == "" {
		return nil
	}
	text = text[:min(len(text), maxComment)]
	data := append([]byte{kind, byte(len(text) + 1)}, text...)
	return append(data, 0)
}
