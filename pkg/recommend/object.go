package recommend

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Annotation marks policies that were recommended: they may be extended when
// more is seen. Taking it off keeps recommend's hands off.
const Annotation = "netpol.dev/recommended"

// ownNotes are annotations of one policy's own life, which a staged copy does not
// have: kubectl's copy of it, its past, and that it is on trial.
var ownNotes = [...]string{
	"kubectl.kubernetes.io/last-applied-configuration",
	"netpol.dev/history", policy.NoteRevision, policy.NotePrevious, policy.NoteConfirmBy, policy.NoteConfirmWithin, policy.NoteReverted, policy.NoteRevertedBy,
}

// apiVersion is the API group and version of the policies.
const apiVersion = "projectcalico.org/v3"

// Object is the policy as a resource. base is the resource that it extends as
// it is stored, nil unless p.Base is set; it is not changed, and everything in
// it is kept, its rules before the new ones.
func (p *Policy) Object(base *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if p.Base == nil {
		return p.newObject(), nil
	}
	if base == nil {
		return nil, fmt.Errorf("%s: what it extends is not given", p.Key)
	}
	out := base.DeepCopy()
	if string(p.Kind) != base.GetKind() { // staged, to replace an enforced one; or the other way
		out.SetKind(string(p.Kind))
		for _, f := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "ownerReferences"} {
			unstructured.RemoveNestedField(out.Object, "metadata", f)
		}
		for _, name := range ownNotes {
			unstructured.RemoveNestedField(out.Object, "metadata", "annotations", name)
		}
		if !p.Kind.Staged() {
			unstructured.RemoveNestedField(out.Object, "spec", "stagedAction")
		} else if err := unstructured.SetNestedField(out.Object, string(policy.StagedSet), "spec", "stagedAction"); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
	}
	for d, field := range directionFields {
		if len(p.Rules[d]) == 0 {
			continue
		}
		rules, _, err := unstructured.NestedSlice(out.Object, "spec", field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
		for i := range p.Rules[d] {
			rules = append(rules, p.Rules[d][i].object(policy.Direction(d), p.WithEvidence))
		}
		if err := unstructured.SetNestedSlice(out.Object, rules, "spec", field); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Key, err)
		}
	}
	if err := unstructured.SetNestedSlice(out.Object, typesOf(p.Types), "spec", "types"); err != nil {
		return nil, fmt.Errorf("%s: %w", p.Key, err)
	}
	return out, nil
}

// Comments say who the new rules of object, which Object made, are for: the same
// that YAML says, by the field of the rules and their index there.
func (p *Policy) Comments(object *unstructured.Unstructured) map[string]map[int]string {
	out := map[string]map[int]string{}
	for d, field := range directionFields {
		rules, _, err := unstructured.NestedSlice(object.Object, "spec", field)
		if n := len(p.Rules[d]); err == nil && n > 0 && n <= len(rules) {
			out[field] = map[int]string{}
			for i := range p.Rules[d] {
				out[field][len(rules)-n+i] = strings.Join(p.Rules[d][i].comment(policy.Direction(d)), "\n")
			}
		}
	}
	return out
}

// directionFields are the names of the rule lists, by policy.Direction.
var directionFields = [2]string{policy.Ingress: "ingress", policy.Egress: "egress"}

func (p *Policy) newObject() *unstructured.Unstructured {
	spec := map[string]any{
		"tier":     p.Tier,
		"selector": quoted(p.Selector),
		"types":    typesOf(p.Types),
	}
	if p.Kind.Staged() {
		spec["stagedAction"] = string(policy.StagedSet)
	}
	for d, field := range directionFields {
		var rules []any
		for i := range p.Rules[d] {
			rules = append(rules, p.Rules[d][i].object(policy.Direction(d), p.WithEvidence))
		}
		if len(rules) > 0 {
			spec[field] = rules
		}
	}
	out := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	out.SetAPIVersion(apiVersion)
	out.SetKind(string(p.Kind))
	out.SetName(p.Name)
	out.SetNamespace(p.Namespace)
	out.SetAnnotations(map[string]string{Annotation: "true"})
	return out
}

func typesOf(types [2]bool) []any {
	var out []any
	for d, on := range types {
		if on {
			out = append(out, policy.Direction(d).String())
		}
	}
	return out
}

func (r *Rule) object(dir policy.Direction, withEvidence bool) map[string]any {
	peer := map[string]any{}
	if r.Selector != nil {
		peer["selector"] = quoted(r.Selector)
	}
	if r.NamespaceSelector != nil {
		peer["namespaceSelector"] = quoted(r.NamespaceSelector)
	}
	if len(r.Nets) > 0 {
		nets := make([]any, len(r.Nets))
		for i, n := range r.Nets {
			nets[i] = n.String()
		}
		peer["nets"] = nets
	}
	if r.Service != nil {
		peer["services"] = map[string]any{"name": r.Service.Name, "namespace": r.Service.Namespace}
	}
	out := map[string]any{"action": "Allow"}
	if withEvidence {
		out["metadata"] = map[string]any{"annotations": EvidenceOf(r.Evidence).annotations()}
	}
	if r.Protocol != 0 {
		out["protocol"] = protocolValue(r.Protocol)
	}
	destination := peer
	if r.ICMP != nil {
		icmp := map[string]any{"type": int64(r.ICMP.Type)}
		if r.ICMP.Code != policy.AnyCode {
			icmp["code"] = int64(r.ICMP.Code)
		}
		out["icmp"] = icmp
	}
	if dir == policy.Ingress {
		out["source"] = peer
		destination = map[string]any{}
	}
	var ports []any
	for _, p := range r.Ports {
		ports = append(ports, portValue(p))
	}
	for _, p := range r.NamedPorts {
		ports = append(ports, p.Name)
	}
	if len(ports) > 0 {
		destination["ports"] = ports
	}
	if len(destination) > 0 {
		out["destination"] = destination
	}
	return out
}

// protocolValue is a name, or a number where v3 has no name.
func protocolValue(p policy.Protocol) any {
	if name := p.String(); name[0] < '0' || name[0] > '9' {
		return name
	}
	return int64(p)
}

// portValue is a number or a range.
func portValue(p policy.PortRange) any {
	if p.Min == p.Max {
		return int64(p.Min)
	}
	return p.String()
}

// quoted is the selector with single quotes, as people write it in YAML. Labels
// have neither kind of quote.
func quoted(s *selector.Selector) string { return strings.ReplaceAll(s.String(), `"`, "'") }
