package cmd

import (
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// getTable lists resources for people.
func getTable(opts *GetOptions, w *world, n noun, keys []policy.Key) error {
	p, wide := opts.IO.Printer(), opts.Format == output.Wide
	switch n.name {
	case "tiers":
		return tierTable(p, w, keys)
	case "pods":
		return podTable(p, w, keys, wide)
	case "namespaces":
		t := p.Table("NAME", "LABELS")
		for _, k := range keys {
			t.Row(k.Name, labelText(w.snap.Namespace(k.Name).Labels))
		}
		return t.Print()
	case "services":
		return serviceTable(p, w, keys, wide)
	case "networksets", "globalnetworksets":
		return setTable(p, w, keys, wide)
	case "hostendpoints":
		return hostTable(p, w, keys, wide)
	case "serviceaccounts":
		return accountTable(p, w, keys)
	}
	return policyTable(opts, w, keys)
}

func tierTable(p *output.Printer, w *world, keys []policy.Key) error {
	enforced, staged := map[string]int{}, map[string]int{}
	for _, pol := range w.snap.Policies {
		if pol.Kind.Staged() {
			staged[pol.Tier]++
		} else {
			enforced[pol.Tier]++
		}
	}
	t := p.Table("NAME", "ORDER", "DEFAULT-ACTION", "ENFORCED", "STAGED")
	for _, k := range keys {
		tr := w.snap.Tier(k.Name)
		t.Row(tr.Name, orderCell(tr.Order), tr.DefaultAction, enforced[tr.Name], staged[tr.Name])
	}
	return t.Print()
}

func policyTable(opts *GetOptions, w *world, keys []policy.Key) error {
	wide, now := opts.Format == output.Wide, opts.Now()
	columns := []string{"NAMESPACE", "NAME", "TIER", "ORDER", "STATE", "TYPES", "SELECTOR"}
	if wide {
		columns = []string{"NAMESPACE", "NAME", "KIND", "TIER", "ORDER", "STATE", "TYPES", "RULES", "FILE", "SELECTOR"}
	}
	t := opts.IO.Printer().Table(columns...)
	for _, k := range keys {
		pol := w.snap.Policy(k)
		if pol == nil {
			fault := output.Cell{Text: "faulty", Style: output.Bad}
			if wide {
				t.Row(k.Namespace, k.Name, k.Kind, "", "", fault)
			} else {
				t.Row(k.Namespace, k.Name, "", "", fault)
			}
			continue
		}
		state := state(pol, now)
		if w.faulty[k] {
			state = output.Cell{Text: state.Text + ",faulty", Style: output.Bad}
		}
		if wide {
			rules := len(pol.Rules[policy.Ingress]) + len(pol.Rules[policy.Egress])
			t.Row(k.Namespace, k.Name, k.Kind, pol.Tier, orderCell(pol.Order), state, typesText(pol), rules, pol.Origin, selectorText(pol))
		} else {
			t.Row(k.Namespace, k.Name, pol.Tier, orderCell(pol.Order), state, typesText(pol), selectorText(pol))
		}
	}
	t.Optional("FILE")
	if wide {
		t.Spare("FILE", "RULES", "TYPES", "KIND", "ORDER")
	}
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(opts.IO, t, allElsewhere)
	return nil
}

// state says whether a policy acts, until when if nobody confirms it, and what
// enforcing it would do.
func state(p *policy.Policy, now time.Time) output.Cell {
	if p.Trial != nil {
		return output.Cell{Text: "on-trial:" + leftText(p.Trial, now), Style: output.Warn}
	}
	if !p.Kind.Staged() {
		return output.Cell{Text: "enforced", Style: output.Good}
	}
	text := "staged"
	if p.StagedAction != policy.StagedSet && p.StagedAction != "" {
		text += "-" + strings.ToLower(string(p.StagedAction))
	}
	return output.Cell{Text: text, Style: output.Warn}
}

func typesText(p *policy.Policy) string {
	var out []string
	for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
		if p.Types[d] {
			out = append(out, d.String())
		}
	}
	return strings.Join(out, ",")
}

// selectorText is whom a policy selects; namespaces are told apart by "ns:",
// service accounts by "sa:".
func selectorText(p *policy.Policy) string {
	var out []string
	if !p.Selector.All() || p.NamespaceSelector == nil && p.ServiceAccountSelector == nil {
		out = append(out, p.Selector.String())
	}
	if p.NamespaceSelector != nil {
		out = append(out, "ns: "+p.NamespaceSelector.String())
	}
	if p.ServiceAccountSelector != nil {
		out = append(out, "sa: "+p.ServiceAccountSelector.String())
	}
	return strings.Join(out, "; ")
}

func podTable(p *output.Printer, w *world, keys []policy.Key, wide bool) error {
	columns := []string{"NAMESPACE", "NAME", "WORKLOAD", "ADDRESS", "NODE"}
	if wide {
		columns = append(columns, "LABELS")
	}
	t := p.Table(columns...)
	for _, k := range keys {
		e := w.snap.Endpoint(k.Namespace, k.Name)
		t.Row(e.Namespace, e.Name, strings.ToLower(string(e.Workload.Kind))+"/"+e.Workload.Name, addrText(e.Addrs), e.Node, labelText(e.Labels))
	}
	return t.Print()
}

func addrText(addrs []netip.Addr) string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return strings.Join(out, ",")
}

// labelText is a=b,c=d, sorted, without the labels that every object has (S15).
func labelText(labels selector.Labels) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		if !strings.HasPrefix(k, "projectcalico.org/") {
			out = append(out, k+"="+labels[k])
		}
	}
	return strings.Join(out, ",")
}
