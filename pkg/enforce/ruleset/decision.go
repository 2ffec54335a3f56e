package ruleset

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// decision is what happens to a connection, as a number: allowed without a
// trace (0, whatever rule allowed it), or an index into decisions.infos.
type decision uint32

const allowed decision = 0

// decisionInfo is a decision spelled out.
type decisionInfo struct {
	refusal uint32   // id of the hit that denies; 0 allows
	logs    []uint32 // ids of Log hits on the way (S7)
	dir     policy.Direction
	verdict Verdict // accept, or goto the chain that logs and decides
}

// decisions numbers distinct decisions. Numbers and chains stay the same for
// the life of the process, since ids do.
type decisions struct {
	history *history
	refused map[placedHit]decision // refusals without logs: nearly all
	others  map[string]decision    // by logs, direction and refusal
	infos   []decisionInfo
	key     []byte
}

func newDecisions() *decisions {
	return &decisions{
		history: newHistory(),
		refused: map[placedHit]decision{},
		others:  map[string]decision{},
		infos:   []decisionInfo{{verdict: Verdict{Kind: Accept}}},
	}
}

// of numbers a verdict. Anything that is not Allow refuses.
func (d *decisions) of(v *tier.Verdict, dir policy.Direction) decision {
	if len(v.Logs) == 0 {
		if v.Action == policy.Allow {
			return allowed
		}
		key := placedHit{v.By, dir}
		n, ok := d.refused[key]
		if !ok {
			n = d.add(decisionInfo{refusal: d.history.id(v.By, dir), dir: dir})
			d.refused[key] = n
		}
		return n
	}
	return d.logged(v, dir)
}

func (d *decisions) logged(v *tier.Verdict, dir policy.Direction) decision {
	info := decisionInfo{dir: dir}
	if v.Action != policy.Allow {
		info.refusal = d.history.id(v.By, dir)
	}
	d.key = binary.BigEndian.AppendUint32(append(d.key[:0], byte(dir)), info.refusal)
	for _, hit := range v.Logs {
		id := d.history.id(hit, dir)
		info.logs = append(info.logs, id)
		d.key = binary.BigEndian.AppendUint32(d.key, id)
	}
	n, ok := d.others[string(d.key)]
	if !ok {
		n = d.add(info)
		d.others[string(d.key)] = n
	}
	return n
}

func (d *decisions) add(info decisionInfo) decision {
	info.verdict = Verdict{Kind: Goto, Chain: info.chainName()}
	d.infos = append(d.infos, info)
	return decision(len(d.infos) - 1)
}

func (d *decisions) verdict(n decision) Verdict { return d.infos[n].verdict }

func denyChain(id uint32) string { return fmt.Sprintf("deny-%d", id) }

// chainName is deny-17, log-18-accept or log-18-19-deny-17. A long list of
// Log rules is cut to a hash, for the kernel's limit on names.
func (i *decisionInfo) chainName() string {
	end := "accept"
	if i.refusal != 0 {
		end = denyChain(i.refusal)
	}
	if len(i.logs) == 0 {
		return end
	}
	list := strings.ReplaceAll(strings.Trim(fmt.Sprint(i.logs), "[]"), " ", "-")
	if len(list) > 40 {
		h := fnv.New64a()
		h.Write([]byte(list))
		list = fmt.Sprintf("%d-%x", i.logs[0], h.Sum64())
	}
	return "log-" + list + "-" + end
}

// chains are the chains that a decision needs: the one that its verdict names,
// and the refusal that a logging one ends in.
func (d *decisions) chains(n decision, cfg *Config) []*Chain {
	info := &d.infos[n]
	if n == allowed {
		return nil
	}
	var out []*Chain
	end := Verdict{Kind: Accept}
	if info.refusal != 0 {
		out = append(out, d.refusal(info.refusal, cfg))
		end = Verdict{Kind: Goto, Chain: denyChain(info.refusal)}
	}
	if len(info.logs) == 0 {
		return out
	}
	c := &Chain{Name: info.verdict.Chain, Comment: "rules that log on the way (S7)"}
	for _, id := range info.logs {
		// A connection's later packets find it confirmed until an answer makes
		// it established, and are not logged again.
		c.Rules = append(c.Rules, Rule{
			Matches: []Match{firstPacket()}, Counter: true, Limit: &Limit{logsPerSecond, logsAtOnce},
			Log: &Log{Group: cfg.LogGroup, Prefix: LogPrefix(id)}, Comment: d.describe(id),
		})
	}
	c.Rules = append(c.Rules, Rule{Verdict: end})
	return append(out, c)
}

func (d *decisions) refusal(id uint32, cfg *Config) *Chain {
	return &Chain{Name: denyChain(id), Comment: d.describe(id), Rules: refuse(id, cfg)}
}

// What one refusal and one Log rule may tell, so that a flood costs the agent
// a bounded part of a processor: 1 000 packets a second take it about 5 ms. The
// counters beside the limits know what it was not told.
const (
	refusalsPerSecond, refusalsAtOnce = 1000, 4000
	logsPerSecond, logsAtOnce         = 100, 400
)

// refuse logs, unless that was too often, and drops.
func refuse(id uint32, cfg *Config) []Rule {
	return []Rule{
		{Limit: &Limit{refusalsPerSecond, refusalsAtOnce}, Log: &Log{Group: cfg.DenyGroup, Prefix: LogPrefix(id)}},
		counted(rule(drop)),
	}
}

// describe is what an id stands for, for people who read nft's output.
func (d *decisions) describe(id uint32) string {
	p, ok := d.history.hit(id)
	if !ok {
		return ""
	}
	var b strings.Builder
	b.WriteString(p.dir.String())
	if p.hit.Tier != "" {
		b.WriteString(", tier " + p.hit.Tier)
	}
	if p.hit.Policy.Name != "" {
		b.WriteString(", " + p.hit.Policy.String())
	}
	switch p.hit.Rule {
	case policy.EndOfTier:
		b.WriteString(", end of tier")
	case policy.NoPolicy:
		b.WriteString(", no policy")
	default:
		fmt.Fprintf(&b, ", rule %d", p.hit.Rule)
	}
	return clip(b.String(), maxComment)
}

// maxComment is nft's limit on a comment, less a margin.
const maxComment = 120

// clip cuts s to n bytes and drops what nft's quoted strings can't hold.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return -1
		}
		return r
	}, s)
	if len(s) > n {
		return s[:n-2] + ".."
	}
	return s
}
