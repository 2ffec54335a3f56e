package kube

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cluster"
)

// deniedAll is the error where rights are missing that every answer needs.
func (c *core) deniedAll(denied []error) error {
	if len(denied) == 1 {
		return denied[0]
	}
	slices.SortFunc(denied, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	f := &cluster.Failure{What: "you may not read all that the answer depends on", Err: denied[0]}
	for _, err := range denied {
		if one, ok := err.(*cluster.Failure); ok {
			f.Where = append(f.Where, one.What)
			f.Try = one.Try
		}
	}
	if len(c.opts.Namespaces) == 0 {
		f.Try = "the same with -n NAMESPACE, if you may read that; or " + f.Try
	}
	return f
}

// tellGaps says what an answer can't know for lack of rights.
func (c *core) tellGaps(r *reading) {
	slices.Sort(r.partly)
	slices.Sort(r.unread)
	if len(r.partly) > 0 {
		c.notes.once("note: you may not list " + strings.Join(r.partly, ", ") + " in all namespaces: only those in " +
			strings.Join(c.opts.Namespaces, ", ") + " are known, and peers in other namespaces are not")
	}
	if len(r.unread) > 0 {
		c.notes.once("note: you may not list " + strings.Join(r.unread, ", ") + ": the answer is as if there were none")
	}
}
