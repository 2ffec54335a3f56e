package dialect

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Proof is what was written against what was recommended: the verdicts on the
// observed flows at the ends of the recommended policies' workloads, with a
// default-deny for their namespaces.
type Proof struct {
	// Observed flows, and how many of them are judged alike.
	Observed, Alike int
	Differences     []Difference
}

// Difference is a flow that is judged otherwise.
type Difference struct {
	Flow *flow.Observed
	// Allowed says that what was written allows it, and the recommendation does
	// not; else it is the other way round.
	Allowed   bool
	Direction policy.Direction
}

// ProofRequest is what a Result was written from.
type ProofRequest struct {
	Model    *tier.Model
	Flows    []flow.Flow
	Policies []*recommend.Policy
	// Scope says which of the policies that are there count.
	Scope tier.Scope
	// Directions are those that policies were wanted for.
	Directions [2]bool
}

// Prove judges what was written. Kubernetes policies are read and judged as the
// agent would; CiliumNetworkPolicies alone, by what Cilium documents.
func Prove(name Name, req ProofRequest, res *Result) (*Proof, error) {
	observed := replay.New(req.Model).Observed(req.Flows)
	want := replay.New(tier.New(req.recommended(), req.Model))
	judge, err := req.judge(name, res)
	if err != nil {
		return nil, err
	}
	proof := &Proof{}
	for i := range observed {
		o := &observed[i]
		ends := req.ends(o)
		pairs := want.Any(o)
		if ends == [2]bool{} || len(pairs) == 0 {
			continue
		}
		proof.Observed++
		if d := difference(o, ends, pairs, func(c tier.Conn) replay.Verdict { return want.Judge(req.Scope, o, c) }, judge); d != nil {
			proof.Differences = append(proof.Differences, *d)
			continue
		}
		proof.Alike++
	}
	return proof, nil
}

// difference is where two judge some pair of a flow otherwise, nil if nowhere.
func difference(o *flow.Observed, ends [2]bool, pairs []tier.Conn, want func(tier.Conn) replay.Verdict, got judge) *Difference {
	for _, c := range pairs {
		wanted := want(c)
		for d, on := range ends {
			if !on {
				continue
			}
			dir := policy.Direction(d)
			if allowed := got(o, dir, c); allowed != (wanted.Denied[d] == nil) {
				return &Difference{Flow: o, Allowed: allowed, Direction: dir}
			}
		}
	}
	return nil
}

// judge says whether one end of a connection allows it.
type judge func(o *flow.Observed, dir policy.Direction, c tier.Conn) bool

func (r *ProofRequest) judge(name Name, res *Result) (judge, error) {
	if name == Cilium {
		c, err := readCilium(res.Objects, r.Model.Snapshot())
		if err != nil {
			return nil, err
		}
		closed := r.closed()
		return func(o *flow.Observed, dir policy.Direction, conn tier.Conn) bool {
			return c.allows(o, dir, conn, closed)
		}, nil
	}
	snap, err := r.written(res.Objects)
	if err != nil {
		return nil, err
	}
	rp := replay.New(tier.New(snap, r.Model))
	return func(o *flow.Observed, dir policy.Direction, c tier.Conn) bool {
		return rp.Judge(r.Scope, o, c).Denied[dir] == nil
	}, nil
}

// ends says which ends of a flow are of the policies' workloads, by
// policy.Direction.
func (r *ProofRequest) ends(o *flow.Observed) (out [2]bool) {
	has := func(p flow.Peer) bool {
		return p.Kind == flow.PeerWorkload && slices.ContainsFunc(r.Policies, func(rec *recommend.Policy) bool {
			return slices.ContainsFunc(rec.Workloads, func(w policy.Workload) bool {
				return w == p.Workload || p.Workload.Kind == "" && w.String() == p.Workload.String()
			})
		})
	}
	out[policy.Egress] = r.wants(policy.Egress) && has(o.Source)
	out[policy.Ingress] = r.wants(policy.Ingress) && has(o.Destination)
	return out
}

func (r *ProofRequest) wants(d policy.Direction) bool {
	return r.Directions[d] || r.Directions == [2]bool{}
}

// recommended is what is there with the recommended policies and the
// default-deny.
func (r *ProofRequest) recommended() *policy.Snapshot {
	gone := map[policy.Key]bool{}
	var added []*policy.Policy
	for _, p := range r.Policies {
		added = append(added, p.Model())
		gone[p.Key], gone[p.Drop] = true, true
	}
	return r.with(added, gone)
}

// written is what is there with Kubernetes policies and the default-deny.
func (r *ProofRequest) written(objects []*unstructured.Unstructured) (*policy.Snapshot, error) {
	var added []*policy.Policy
	gone := map[policy.Key]bool{}
	for _, u := range objects {
		value, faults := policy.ValidateObject(u)
		p, ok := value.(*policy.Policy)
		if err := faults.Err(); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", u.GetNamespace(), u.GetName(), err)
		}
		if !ok {
			return nil, fmt.Errorf("%s/%s is no policy", u.GetNamespace(), u.GetName())
		}
		added = append(added, p)
		gone[p.Key] = true
	}
	return r.with(added, gone), nil
}

// with is what is there, some policies left out, others added, and a default-deny
// for the recommended policies' namespaces.
func (r *ProofRequest) with(added []*policy.Policy, gone map[policy.Key]bool) *policy.Snapshot {
	snap := r.Model.Snapshot()
	policies := slices.DeleteFunc(slices.Clone(snap.Policies), func(p *policy.Policy) bool { return gone[p.Key] })
	policies = append(policies, added...)
	for namespace := range r.closed() {
		policies = append(policies, &policy.Policy{
			Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: namespace, Name: "~default-deny"},
			Tier: tier.DefaultTier, Order: policy.Unordered,
			Types: [2]bool{policy.Ingress: r.wants(policy.Ingress), policy.Egress: r.wants(policy.Egress)},
		})
	}
	return snap.WithPolicies(policies)
}

// closed are the namespaces of the recommended policies.
func (r *ProofRequest) closed() map[string]bool {
	out := map[string]bool{}
	for _, p := range r.Policies {
		out[p.Namespace] = true
	}
	return out
}
