package tier

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// anyBut is before what a criterion such as notPorts leaves out.
const anyBut = "any but "

func httpText(h *policy.HTTPMatch) string {
	parts := slices.Clone(h.Methods)
	for _, p := range h.Paths {
		if p.Exact != "" {
			parts = append(parts, p.Exact)
		} else {
			parts = append(parts, p.Prefix+"*")
		}
	}
	return strings.Join(parts, ", ")
}

func icmpText(m *policy.ICMPMatch) string {
	if m.Code == policy.AnyCode {
		return fmt.Sprintf("type %d", m.Type)
	}
	return fmt.Sprintf("type %d, code %d", m.Type, m.Code)
}

func accountsText(a *policy.ServiceAccountMatch) string {
	parts := slices.Clone(a.Names)
	if a.Selector != nil {
		parts = append(parts, "with "+a.Selector.String())
	}
	return strings.Join(parts, ", ")
}

// accountText is the service account of a pod, with its labels.
func (m *Model) accountText(x *end) string {
	rep := m.ids.rep(x.id)
	if rep == nil {
		return m.endText(x)
	}
	name := rep.Labels[policy.LabelServiceAccount]
	return rep.Namespace + "/" + name + labelsText(m.labels.account(rep.Namespace, name))
}

func entityText(e *policy.Entity) string {
	var parts []string
	if e.Selector != nil {
		parts = append(parts, e.Selector.String())
	}
	if e.NotSelector != nil {
		parts = append(parts, anyBut+e.NotSelector.String())
	}
	if e.NamespaceSelector != nil {
		parts = append(parts, "in namespaces "+e.NamespaceSelector.String())
	}
	if e.ServiceAccounts != nil {
		parts = append(parts, "service accounts "+accountsText(e.ServiceAccounts))
	}
	return strings.Join(parts, ", ")
}

func netsText(nets, notNets []netip.Prefix) string {
	var parts []string
	for _, n := range nets {
		parts = append(parts, n.String())
	}
	for _, n := range notNets {
		parts = append(parts, anyBut+n.String())
	}
	return strings.Join(parts, ", ")
}

func portsText(list []policy.PortRange, names []string) string {
	parts := make([]string, 0, len(list)+len(names))
	for _, p := range list {
		parts = append(parts, p.String())
	}
	return strings.Join(append(parts, names...), ", ")
}

// endText says who an end is, with its labels where it has any: a pod, or the
// network sets that hold the address, or the address.
func (m *Model) endText(x *end) string {
	if rep := m.ids.rep(x.id); rep != nil {
		return rep.Workload.String() + labelsText(rep.Labels)
	}
	if !x.addr.IsValid() {
		return "an address that is not known"
	}
	text := x.addr.String()
	for _, set := range m.snap.NetworkSets {
		if inNets(set.Nets, x.addr) {
			text += ", in " + set.Key.String() + labelsText(set.Labels)
		}
	}
	for _, h := range m.snap.HostEndpoints {
		if slices.Contains(h.Addrs, x.addr) {
			text += ", of HostEndpoint " + h.Name + labelsText(h.Labels)
		}
	}
	return text
}

// labelsText leaves out the labels that Calico and Kubernetes add by
// themselves.
func labelsText(all map[string]string) string {
	var own []string
	for k, v := range all {
		if !strings.Contains(k, "projectcalico.org/") && k != policy.LabelMetadataName {
			own = append(own, k+"="+v)
		}
	}
	if len(own) == 0 {
		return ""
	}
	slices.Sort(own)
	return " (" + strings.Join(own, ", ") + ")"
}
