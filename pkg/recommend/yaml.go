package recommend

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// YAML is the policy as a manifest, with comments that say who the rules are for.
// They tell no numbers and no times, so that the same policy is the same text
// whenever it is written. What it extends is not in it: it is for new policies.
func (p *Policy) YAML() string {
	var b strings.Builder
	b.WriteString(p.Heading())
	fmt.Fprintf(&b, "apiVersion: %s\nkind: %s\nmetadata:\n", apiVersion, p.Kind)
	fmt.Fprintf(&b, "  name: %s\n  namespace: %s\n  annotations:\n    %s: \"true\"\n", yamlName(p.Name), yamlName(p.Namespace), Annotation)
	fmt.Fprintf(&b, "spec:\n")
	if p.Kind.Staged() {
		fmt.Fprintf(&b, "  stagedAction: %s\n", policy.StagedSet)
	}
	fmt.Fprintf(&b, "  tier: %s\n  selector: %s\n  types:\n", yamlName(p.Tier), quoted(p.Selector))
	for _, t := range typesOf(p.Types) {
		fmt.Fprintf(&b, "  - %s\n", t)
	}
	for d, field := range directionFields {
		if len(p.Rules[d]) > 0 {
			fmt.Fprintf(&b, "  %s:\n", field)
		}
		for i := range p.Rules[d] {
			p.Rules[d][i].yaml(&b, policy.Direction(d), p.WithEvidence)
		}
	}
	return b.String()
}

// Heading is the comment before the policy's manifest: who it is for, and whom it
// selects beside.
func (p *Policy) Heading() string {
	out := "# " + workloadsText(p.Workloads) + "\n"
	if len(p.Unasked) > 0 && len(p.Unasked) < len(p.Workloads) {
		out += "# (labels can't tell them apart, so it selects " + workloadsText(p.Unasked) + " too)\n"
	}
	return out
}

// shownPeers is how many of a rule's peers its comment names.
const shownPeers = 8

// workloadsText are workloads with their kinds, the first few of them.
func workloadsText(list []policy.Workload) string {
	var out []string
	for i, w := range list {
		if i == shownPeers {
			out = append(out, fmt.Sprintf("%d more", len(list)-i))
			break
		}
		out = append(out, string(w.Kind)+" "+w.String())
	}
	return strings.Join(out, ", ")
}

// comment says who a rule is for, and whom else it lets in, by lines.
func (r *Rule) comment(dir policy.Direction) []string {
	var out []string
	if r.Purpose != "" {
		out = append(out, "# "+r.Purpose)
	}
	peers := r.Peers(dir)
	for i, p := range peers {
		if i == shownPeers {
			out = append(out, fmt.Sprintf("# … and %d more", len(peers)-i))
			break
		}
		out = append(out, "# "+p)
	}
	if what := r.unseenDNS(); what != "" {
		out = append(out, "# ("+what+")")
	}
	if len(r.Admits) > 0 {
		out = append(out, fmt.Sprintf("# (the labels pick %s too)", workloadsText(r.Admits)))
	}
	return out
}

func (r *Rule) yaml(b *strings.Builder, dir policy.Direction, withEvidence bool) {
	for _, line := range r.comment(dir) {
		fmt.Fprintf(b, "  %s\n", line)
	}
	b.WriteString("  - action: Allow\n")
	if withEvidence {
		annotations := EvidenceOf(r.Evidence).annotations()
		b.WriteString("    metadata:\n      annotations:\n")
		for _, k := range slices.Sorted(maps.Keys(annotations)) {
			fmt.Fprintf(b, "        %s: %q\n", k, annotations[k])
		}
	}
	if r.Protocol != 0 {
		fmt.Fprintf(b, "    protocol: %s\n", r.Protocol)
	}
	if r.ICMP != nil {
		fmt.Fprintf(b, "    icmp:\n      type: %d\n", r.ICMP.Type)
		if r.ICMP.Code != policy.AnyCode {
			fmt.Fprintf(b, "      code: %d\n", r.ICMP.Code)
		}
	}
	if dir == policy.Ingress {
		b.WriteString("    source:\n")
		r.yamlPeer(b)
		if len(r.Ports)+len(r.NamedPorts) == 0 {
			return
		}
	}
	b.WriteString("    destination:\n")
	if dir == policy.Egress {
		r.yamlPeer(b)
	}
	if len(r.Ports)+len(r.NamedPorts) > 0 {
		b.WriteString("      ports:\n")
	}
	for _, p := range r.Ports {
		fmt.Fprintf(b, "      - %s\n", portYAML(p))
	}
	for _, p := range r.NamedPorts {
		fmt.Fprintf(b, "      - %s\n", yamlName(p.Name))
	}
}

func portYAML(p policy.PortRange) string {
	if p.Min == p.Max {
		return p.String()
	}
	return "\"" + p.String() + "\"" // else YAML might read a number to base 60
}

func (r *Rule) yamlPeer(b *strings.Builder) {
	if r.NamespaceSelector != nil {
		fmt.Fprintf(b, "      namespaceSelector: %s\n", quoted(r.NamespaceSelector))
	}
	if r.Selector != nil {
		fmt.Fprintf(b, "      selector: %s\n", quoted(r.Selector))
	}
	if r.Service != nil {
		fmt.Fprintf(b, "      services:\n        name: %s\n        namespace: %s\n", yamlName(r.Service.Name), yamlName(r.Service.Namespace))
	}
	if len(r.Nets) > 0 {
		b.WriteString("      nets:\n")
		for _, n := range r.Nets {
			fmt.Fprintf(b, "      - %s\n", n)
		}
	}
}

// yamlName quotes a name that YAML would read as something else.
func yamlName(s string) string {
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return strconv.Quote(s)
	}
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return strconv.Quote(s)
	}
	return s
}

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
