package recommend

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// YAML is the policy as a manifest, with the evidence as comments. What it
// extends is not in it: it is for new policies.
func (p *Policy) YAML() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s: %s\n", p.who(), p.evidence())
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
		for _, r := range p.Rules[d] {
			r.yaml(&b, policy.Direction(d))
		}
	}
	return b.String()
}

func (p *Policy) who() string {
	out := make([]string, len(p.Workloads))
	for i, w := range p.Workloads {
		out[i] = string(w.Kind) + " " + w.String()
	}
	return strings.Join(out, ", ")
}

func (p *Policy) evidence() string {
	var flows, connections int64
	var first, last time.Time
	for _, o := range p.Flows() {
		flows++
		connections += o.Connections
		if first.IsZero() || o.FirstSeen.Before(first) {
			first = o.FirstSeen
		}
		if o.LastSeen.After(last) {
			last = o.LastSeen
		}
	}
	return fmt.Sprintf("%s, %s, seen %s to %s", plural(flows, "flow"), plural(connections, "connection"), stamp(first), stamp(last))
}

// Flows are the flows that the policy was written for, each once.
func (p *Policy) Flows() []*flow.Observed {
	var out []*flow.Observed
	done := map[*flow.Observed]bool{}
	for _, rules := range p.Rules {
		for _, r := range rules {
			for _, o := range r.Evidence {
				if !done[o] {
					done[o] = true
					out = append(out, o)
				}
			}
		}
	}
	return out
}

func (r Rule) yaml(b *strings.Builder, dir policy.Direction) {
	for _, o := range r.Evidence {
		peer, word := o.Source, "from"
		if dir == policy.Egress {
			peer, word = o.Destination, "to"
		}
		via := ""
		if s := o.Service(); s != "" {
			via = " by Service " + s
		}
		fmt.Fprintf(b, "  # %s %s%s: %s, last %s\n", word, peer, via, plural(o.Connections, "connection"), stamp(o.LastSeen))
		if o.Protocol != r.Protocol && r.Protocol != 0 {
			fmt.Fprintf(b, "  # (DNS: long answers come over %s)\n", r.Protocol)
		}
	}
	b.WriteString("  - action: Allow\n")
	if r.Protocol != 0 {
		fmt.Fprintf(b, "    protocol: %s\n", r.Protocol)
	}
	if r.ICMP != nil {
		fmt.Fprintf(b, "    icmp:\n      type: %d\n", r.ICMP.Type)
	}
	if dir == policy.Ingress {
		b.WriteString("    source:\n")
		r.yamlPeer(b)
		if len(r.Ports) == 0 {
			return
		}
	}
	b.WriteString("    destination:\n")
	if dir == policy.Egress {
		r.yamlPeer(b)
	}
	if len(r.Ports) > 0 {
		b.WriteString("      ports:\n")
		for _, p := range r.Ports {
			fmt.Fprintf(b, "      - %s\n", portYAML(p))
		}
	}
}

func portYAML(p policy.PortRange) string {
	if p.Min == p.Max {
		return p.String()
	}
	return "\"" + p.String() + "\"" // else YAML might read a number to base 60
}

func (r Rule) yamlPeer(b *strings.Builder) {
	if r.NamespaceSelector != nil {
		fmt.Fprintf(b, "      namespaceSelector: %s\n", quoted(r.NamespaceSelector))
	}
	if r.Selector != nil {
		fmt.Fprintf(b, "      selector: %s\n", quoted(r.Selector))
	}
	if r.Service != nil {
		fmt.Fprintf(b, "      services:\n        name: %s\n        namespace: %s\n", r.Service.Name, r.Service.Namespace)
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

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func plural(n int64, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
