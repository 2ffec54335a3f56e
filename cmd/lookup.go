package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Kinds that one word of the command line stands for.
var (
	enforcedKinds = []policy.Kind{policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy,
		policy.KindClusterNetworkPolicy}
	stagedKinds = []policy.Kind{policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy}
	policyKinds = append(slices.Clone(enforcedKinds), stagedKinds...)
	// orderKinds are what the places of policies depend on, and the names of
	// namespaces.
	orderKinds = append(slices.Clone(policyKinds), policy.KindTier, policy.KindNamespace)
)

// noun is a word for resources on the command line.
type noun struct {
	name    string // what the others are spellings of
	aliases []string
	kinds   []policy.Kind
}

// nouns are the words that get and delete know.
var nouns = []noun{
	{"tiers", []string{"tier"}, []policy.Kind{policy.KindTier}},
	{"policies", []string{"policy", "pol"}, policyKinds},
	{"networkpolicies", []string{"networkpolicy", "netpol", "np", "networkpolicies.projectcalico.org", "networkpolicy.projectcalico.org"},
		[]policy.Kind{policy.KindNetworkPolicy, policy.KindKubernetesNetworkPolicy}},
	{"globalnetworkpolicies", []string{"globalnetworkpolicy", "gnp", "globalnetworkpolicy.projectcalico.org"}, []policy.Kind{policy.KindGlobalNetworkPolicy}},
	{"kubernetesnetworkpolicies", []string{"kubernetesnetworkpolicy", "knp", "networkpolicies.networking.k8s.io", "networkpolicy.networking.k8s.io"},
		[]policy.Kind{policy.KindKubernetesNetworkPolicy}},
	{"staged", nil, stagedKinds},
	{"stagednetworkpolicies", []string{"stagednetworkpolicy", "snp", "stagednetworkpolicy.projectcalico.org"}, []policy.Kind{policy.KindStagedNetworkPolicy}},
	{"stagedglobalnetworkpolicies", []string{"stagedglobalnetworkpolicy", "sgnp", "stagedglobalnetworkpolicy.projectcalico.org"},
		[]policy.Kind{policy.KindStagedGlobalNetworkPolicy}},
	{"stagedkubernetesnetworkpolicies", []string{"stagedkubernetesnetworkpolicy", "sknp", "stagedkubernetesnetworkpolicy.projectcalico.org"},
		[]policy.Kind{policy.KindStagedKubernetesNetworkPolicy}},
	{"clusternetworkpolicies", []string{"clusternetworkpolicy", "cnp", "clusternetworkpolicy.policy.networking.k8s.io"},
		[]policy.Kind{policy.KindClusterNetworkPolicy}},
	{"networksets", []string{"networkset", "netset", "netsets", "networkset.projectcalico.org"}, []policy.Kind{policy.KindNetworkSet}},
	{"globalnetworksets", []string{"globalnetworkset", "gns", "globalnetworkset.projectcalico.org"}, []policy.Kind{policy.KindGlobalNetworkSet}},
	{"hostendpoints", []string{"hostendpoint", "hep", "heps", "hostendpoint.projectcalico.org"}, []policy.Kind{policy.KindHostEndpoint}},
	{"serviceaccounts", []string{"serviceaccount", "sa"}, []policy.Kind{policy.KindServiceAccount}},
	{"pods", []string{"pod", "po"}, []policy.Kind{policy.KindPod}},
	{"namespaces", []string{"namespace", "ns"}, []policy.Kind{policy.KindNamespace}},
	{"services", []string{"service", "svc"}, []policy.Kind{policy.KindService}},
}

// needs are the kinds that a list of these resources is made from; none for
// all.
func (n noun) needs() []policy.Kind {
	switch n.kinds[0] {
	case policy.KindPod, policy.KindService, policy.KindServiceAccount:
		return nil
	}
	return append(slices.Clone(n.kinds), orderKinds...)
}

// findNoun looks a word up, in any case.
func findNoun(word, try string) (noun, error) {
	word = strings.ToLower(word)
	var known []string
	for _, n := range nouns {
		if n.name == word || slices.Contains(n.aliases, word) {
			return n, nil
		}
		known = append(append(known, n.name), n.aliases...)
	}
	return noun{}, cli.Unknown("resource type", word, known, try)
}

// world is the resources as they are.
type world struct {
	store cluster.Store
	snap  *policy.Snapshot
	own   *policy.Snapshot // snap without what a recording of flows adds; nil: it adds nothing
	keys  []policy.Key     // of all there is, faulty ones too
	// home is the namespace that is meant where a name fits in several; "" for
	// none.
	home string
	// faulty are the resources that are not judged as they were meant.
	faulty map[policy.Key]bool
	// made is when policies were made, of those that the store was asked about;
	// zero: nobody knows.
	made map[policy.Key]time.Time
	// told are the faults that the user has been told of.
	told policy.Faults
}

// loadWorld reads the store. On a cluster, where that is much work and needs
// rights, no more than some kinds are read if they are given.
func loadWorld(ctx context.Context, open func() (cluster.Store, error), kinds ...policy.Kind) (*world, policy.Faults, error) {
	store, err := open()
	if err != nil {
		return nil, nil, err
	}
	store = cluster.Narrow(store, kinds...)
	snap, faults, err := store.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	keys, err := store.Keys(ctx)
	faulty := map[policy.Key]bool{}
	for _, f := range faults.Errors() {
		faulty[f.Key] = true
	}
	return &world{store: store, snap: snap, keys: keys, faulty: faulty}, faults, err
}

// tier looks a tier up by name, for what is to be put into it.
func (w *world) tier(name string) (*policy.Tier, error) {
	return w.tierOr(name, "netpol tier create "+name)
}

// tierOr is tier; try is the command to type where there is none.
func (w *world) tierOr(name, try string) (*policy.Tier, error) {
	if t := w.snap.Tier(name); t != nil {
		return t, nil
	}
	return nil, cli.Unknown("tier", name, tierNames(w), try)
}

// namespaces refuses unknown ones. Where nothing says which namespaces there
// are (a directory of policies only), any name will do.
func (w *world) namespaces(names []string) error {
	if len(w.snap.Endpoints) == 0 && !slices.ContainsFunc(w.keys, func(k policy.Key) bool { return k.Kind == policy.KindNamespace }) {
		return nil
	}
	return knownNamespaces(w.snap, names, w.own != nil)
}

// unknownNamespace says of a search that found nothing that there is no such
// namespace; nil where there is, none was given, or nobody knows.
func (w *world) unknownNamespace(name string) error {
	if name == "" || len(w.snap.Namespaces) == 0 {
		return nil
	}
	return w.namespaces([]string{name})
}

// errAmbiguous is the cause where a name means more than one resource.
var errAmbiguous = errors.New("the name is ambiguous")

// find looks a resource up by name among kinds. arg is NAME or NAMESPACE/NAME,
// with KIND/ before it where that is needed; namespace narrows it to that
// namespace and to what is in none.
func (w *world) find(what string, kinds []policy.Kind, arg, namespace string) (policy.Key, error) {
	kinds, arg = w.withKind(kinds, arg)
	name := arg
	if ns, rest, ok := strings.Cut(arg, "/"); ok {
		if namespace != "" && namespace != ns {
			return policy.Key{}, cli.Usage("", "%s is not in namespace %s", arg, namespace)
		}
		namespace, name = ns, rest
	}
	var hits, elsewhere []policy.Key
	var names []string
	for _, k := range w.keys {
		if !slices.Contains(kinds, k.Kind) {
			continue
		}
		here := namespace == "" || k.Namespace == "" || k.Namespace == namespace
		switch {
		case k.Name == name && here && !slices.Contains(hits, k):
			hits = append(hits, k)
		case k.Name == name:
			elsewhere = append(elsewhere, k)
		case here:
			names = append(names, k.Name)
		}
	}
	if inside := slices.DeleteFunc(slices.Clone(hits), func(k policy.Key) bool { return k.Namespace == "" }); namespace != "" && len(inside) > 0 {
		hits = inside // a namespace was named: its own come before global ones
	}
	if at := slices.DeleteFunc(slices.Clone(hits), func(k policy.Key) bool { return k.Namespace != w.home }); w.home != "" && namespace == "" && len(at) > 0 {
		hits = at
	}
	switch {
	case len(hits) == 1:
		return hits[0], nil
	case len(hits) == 0:
		if err := w.unknownNamespace(namespace); err != nil {
			return policy.Key{}, err
		}
		try := "netpol get policies"
		if !slices.ContainsFunc(kinds, func(k policy.Kind) bool { return !k.Staged() }) {
			try = "netpol get staged"
		}
		err := cli.Unknown(what, arg, names, try)
		for _, k := range elsewhere {
			if e, ok := err.(*cli.Error); ok {
				e.Where = append(e.Where, "there is "+k.String())
			}
		}
		return policy.Key{}, err
	}
	e := &cli.Error{Err: errAmbiguous, What: fmt.Sprintf("%q is not one %s but %d", arg, what, len(hits)), Try: "the same with -n NAMESPACE, or KIND/NAME"}
	for _, k := range hits {
		e.Where = append(e.Where, k.String())
	}
	return policy.Key{}, e
}

// slots are the policies of a tier, for placing among them. Kubernetes'
// policies have a fixed order (S4), and ClusterNetworkPolicies a priority.
func (w *world) slots(tierName string) []tier.Slot {
	var out []tier.Slot
	for _, p := range w.snap.Policies {
		if p.Tier == tierName {
			out = append(out, tier.Slot{Key: p.Key, Order: p.Order, Fixed: fixedOrder(p.Kind)})
		}
	}
	return out
}

func fixedOrder(k policy.Kind) bool {
	return k.Enforced() == policy.KindKubernetesNetworkPolicy || k == policy.KindClusterNetworkPolicy
}

// tierSlots are the tiers, for placing among them. The built-in ones' order is
// fixed (S1).
func (w *world) tierSlots() []tier.Slot {
	var out []tier.Slot
	for _, t := range w.snap.AllTiers() {
		out = append(out, tier.Slot{Key: tierKey(t.Name), Order: t.Order, Fixed: isBuiltin(t.Name)})
	}
	return out
}

func tierKey(name string) policy.Key { return policy.Key{Kind: policy.KindTier, Name: name} }

// isBuiltin says whether a tier is one of those that can't be deleted (S1).
func isBuiltin(name string) bool {
	return policy.BuiltinTier(name) != nil
}
