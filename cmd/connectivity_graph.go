package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

// mermaidEdges is how many edges Mermaid draws unless it is told otherwise.
const mermaidEdges = 500

// connectivityGraph is what is allowed, as nodes in their namespaces and one
// edge for each pair.
type connectivityGraph struct {
	namespaces []string // "" is what is outside, and last
	nodes      map[string][]policy.Workload
	ids        map[policy.Workload]string
	edges      []graphEdge
}

type graphEdge struct {
	from, to policy.Workload
	label    string
	partly   bool // for some pods only
}

func newConnectivityGraph(pairs []connectivity.Pair) *connectivityGraph {
	g := &connectivityGraph{nodes: map[string][]policy.Workload{}, ids: map[policy.Workload]string{}}
	for i := range pairs {
		p := &pairs[i]
		g.add(p.Source)
		g.add(p.Destination)
		if label, partly := edgeLabel(p); label != "" {
			g.edges = append(g.edges, graphEdge{p.Source, p.Destination, label, partly})
		}
	}
	slices.Sort(g.namespaces)
	if i := slices.Index(g.namespaces, ""); i >= 0 {
		g.namespaces = append(slices.Delete(g.namespaces, i, i+1), "")
	}
	return g
}

func (g *connectivityGraph) add(w policy.Workload) {
	if g.ids[w] != "" {
		return
	}
	g.ids[w] = fmt.Sprintf("n%d", len(g.ids))
	ns := w.Namespace
	if connectivity.Outside(w) {
		ns = ""
	}
	if g.nodes[ns] == nil {
		g.namespaces = append(g.namespaces, ns)
	}
	g.nodes[ns] = append(g.nodes[ns], w)
}

func (g *connectivityGraph) label(w policy.Workload) string {
	if connectivity.Outside(w) {
		return connectivity.NodeText(w)
	}
	return w.Name
}

// edgeLabel are the declared ports that are allowed, by protocol, or where none
// is declared all that is allowed; "" for nothing.
func edgeLabel(p *connectivity.Pair) (label string, partly bool) {
	var s connectivity.Space
	for i := range p.Ports {
		v := &p.Ports[i]
		if v.Allowed == 0 {
			continue
		}
		partly = partly || v.Some()
		r := policy.PortRange{Min: v.Port, Max: v.Port}
		if n := len(s.Protocols); n > 0 && s.Protocols[n-1].Protocol == v.Protocol {
			s.Protocols[n-1].Ranges = append(s.Protocols[n-1].Ranges, r)
		} else {
			s.Protocols = append(s.Protocols, connectivity.ProtocolPorts{Protocol: v.Protocol, Ranges: []policy.PortRange{r}})
		}
	}
	switch {
	case len(p.Ports) > 0 && s.Empty():
		return "", false
	case !s.Empty():
		return s.String(), partly
	case !p.Open.Empty():
		return p.Open.String(), false
	case !p.Partly.Empty():
		return p.Partly.String(), true
	}
	return "", false
}

func (g *connectivityGraph) dot(p *output.Printer) error {
	var b strings.Builder
	b.WriteString("digraph connectivity {\n  rankdir=LR;\n  node [shape=box];\n")
	for i, ns := range g.namespaces {
		indent := "  "
		if ns != "" {
			fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%s;\n", i, dotText(ns))
			indent = "    "
		}
		for _, w := range g.nodes[ns] {
			fmt.Fprintf(&b, "%s%s [label=%s];\n", indent, g.ids[w], dotText(g.label(w)))
		}
		if ns != "" {
			b.WriteString("  }\n")
		}
	}
	for _, e := range g.edges {
		style := ""
		if e.partly {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s];\n", g.ids[e.from], g.ids[e.to], dotText(e.label), style)
	}
	b.WriteString("}\n")
	_, err := p.W.Write([]byte(b.String()))
	return err
}

// dotText quotes text for DOT.
func dotText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ").Replace(s) + `"`
}

func (g *connectivityGraph) mermaid(p *output.Printer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for i, ns := range g.namespaces {
		indent := "  "
		if ns != "" {
			fmt.Fprintf(&b, "  subgraph s%d[%s]\n", i, mermaidText(ns))
			indent = "    "
		}
		for _, w := range g.nodes[ns] {
			fmt.Fprintf(&b, "%s%s[%s]\n", indent, g.ids[w], mermaidText(g.label(w)))
		}
		if ns != "" {
			b.WriteString("  end\n")
		}
	}
	for _, e := range g.edges {
		arrow := "-->"
		if e.partly {
			arrow = "-.->"
		}
		fmt.Fprintf(&b, "  %s %s|%s| %s\n", g.ids[e.from], arrow, mermaidText(e.label), g.ids[e.to])
	}
	_, err := p.W.Write([]byte(b.String()))
	return err
}

// mermaidText quotes text for Mermaid, which knows entities and no backslash.
func mermaidText(s string) string {
	return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "`", "#96;", "\n", " ").Replace(s) + `"`
}
