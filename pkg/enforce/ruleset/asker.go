package ruleset

import (
	"github.com/netpol-project/netpol/pkg/tier"
)

// asker judges for one profile.
type asker struct {
	*shared
	question question
	index    *index
	ground   *ground
	first    *asker // of a variant: the one for its first table
}

// shared is what all profiles of a chain of compilations share.
type shared struct {
	decisions *decisions
	answers   *answers
}

func (a *asker) judge(p tier.Peer) answerID { return a.answers.judge(&a.question, a.decisions, p) }

// judgeIdentity judges an address that no nets in force tell from others of
// its identity, once for both families if they are alike.
func (a *asker) judgeIdentity(id int, mb member) answerID {
	known, key := a.question.many.byIdentity, sourced{id, a.question.sourcePort}
	if ans, ok := known[key]; ok {
		return ans
	}
	ans := a.judge(tier.Peer{Endpoint: mb.ep, Addr: mb.addr})
	if known != nil {
		known[key] = ans
	}
	return ans
}
