package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// namedThings finds Services, service accounts and ports that rules name and
// that do not exist. It speaks only of namespaces of which something was read.
func (r *run) namedThings() {
	accounts := r.accounts()
	r.eachRule(func(p *policy.Policy, d policy.Direction, rule *policy.Rule, field string) {
		for i, s := range sides(rule, field) {
			r.noSuchService(p, s)
			r.noSuchAccount(p, s, accounts)
			own := (i == 1) == (d == policy.Ingress)
			r.noSuchPort(p, d, rule, s, own)
		}
	})
}

// accounts are the service accounts that are written down or that pods run as,
// by namespace, and all of them under "".
func (r *run) accounts() map[string]map[string]bool {
	out := map[string]map[string]bool{"": {}}
	add := func(namespace, name string) {
		if out[namespace] == nil {
			out[namespace] = map[string]bool{"default": true}
		}
		out[namespace][name], out[""][name], out[""]["default"] = true, true, true
	}
	for _, a := range r.snap.ServiceAccounts {
		add(a.Namespace, a.Name)
	}
	for _, ep := range r.snap.Endpoints {
		add(ep.Namespace, ep.Labels[policy.LabelServiceAccount])
	}
	return out
}

func (r *run) noSuchService(p *policy.Policy, s side) {
	if s.Service == nil || r.snap.Service(s.Service.Namespace, s.Service.Name) != nil || len(r.read(s.Service.Namespace)) == 0 {
		return
	}
	var names []string
	for _, svc := range r.snap.Services {
		if svc.Namespace == s.Service.Namespace {
			names = append(names, svc.Name)
		}
	}
	f := policy.Fault{Code: "no-such-service", Field: s.field + ".services.name", Value: s.Service.Name,
		Reason: "there is no such Service in namespace " + s.Service.Namespace + ", so the rule matches nothing", Fix: "correct the name"}
	if len(names) > 0 {
		f.Fix += "; there " + isOrAre(names)
	}
	r.warn(p, f)
}

// read are the endpoints of a namespace that were read.
func (r *run) read(namespace string) []*policy.Endpoint {
	list := r.snap.EndpointsIn(namespace)
	if namespace != dnsNamespace || r.stranger == nil {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(ep *policy.Endpoint) bool { return ep == r.stranger })
}

func (r *run) noSuchAccount(p *policy.Policy, s side, accounts map[string]map[string]bool) {
	if s.ServiceAccounts == nil || !r.hasPods() {
		return
	}
	namespace := ""
	if s.NamespaceSelector == nil {
		namespace = p.Namespace
	}
	known := accounts[namespace]
	if known == nil {
		return // nothing of that namespace was read
	}
	for i, name := range s.ServiceAccounts.Names {
		if !known[name] {
			r.warn(p, policy.Fault{Code: "no-such-account", Field: fmt.Sprintf("%s.serviceAccounts.names[%d]", s.field, i), Value: name,
				Reason: "there is no such service account" + in(namespace) + ", and no pod runs as one", Fix: "correct the name"})
		}
	}
}

// noSuchPort finds names of ports that nobody on that side declares with the
// rule's protocol. own: it is the side of the endpoint that the policy selects.
func (r *run) noSuchPort(p *policy.Policy, d policy.Direction, rule *policy.Rule, s side, own bool) {
	if len(s.NamedPorts)+len(s.NotNamedPorts) == 0 {
		return
	}
	who := r.model.Whom(p, s.Entity)
	var list []*policy.Endpoint
	switch {
	case own && who.Anyone:
		list = r.selected[p][d]
	case who.Anyone && r.hasPods():
		list = r.snap.Endpoints
	default:
		list = slices.Collect(who.Endpoints())
	}
	if len(list) == 0 || slices.Contains(list, r.stranger) && len(list) == 1 {
		return // that is for selects-nothing to say
	}
	proto, what := rule.Protocol, rule.Protocol.String()+" port"
	if p.Kind == policy.KindClusterNetworkPolicy {
		proto, what = 0, "port" // it names a port of any protocol, and was made into a rule for each
	}
	for _, names := range []struct {
		field string
		list  []string
	}{{".ports", s.NamedPorts}, {".notPorts", s.NotNamedPorts}} {
		for _, name := range names.list {
			if !slices.ContainsFunc(list, func(ep *policy.Endpoint) bool { return declares(ep, name, proto) }) {
				r.warn(p, policy.Fault{Code: "no-such-port", Field: s.field + names.field, Value: name,
					Reason: fmt.Sprintf("no %s of this name is declared by %s", what, workloads(list)),
					Fix:    "correct the name or the protocol, or name the container port so"})
			}
		}
	}
}

func declares(ep *policy.Endpoint, name string, proto policy.Protocol) bool {
	return slices.ContainsFunc(ep.Ports, func(c policy.ContainerPort) bool {
		return c.Name == name && (proto == 0 || c.Protocol == proto)
	})
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return "is " + names[0]
	}
	return "are " + list(names)
}

// list is the first few names.
func list(names []string) string {
	const most = 5
	text := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		text += ", …"
	}
	return text
}
