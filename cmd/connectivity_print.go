package cmd

import (
	"encoding/csv"
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

func printConnectivity(opts *ConnectivityOptions, pairs []connectivity.Pair) error {
	streams := opts.Factory.IO
	p := streams.Printer()
	var err error
	switch opts.Format {
	case output.JSON, output.YAML:
		return p.Object(opts.Format, newConnectivityReport(pairs))
	case formatCSV:
		return printConnectivityCSV(p, pairs)
	case formatMarkdown:
		err = printConnectivityMarkdown(p, pairs)
	case formatDOT, formatMermaid:
		g := newConnectivityGraph(pairs)
		if opts.Format == formatDOT {
			return g.dot(p)
		}
		if len(g.edges) > mermaidEdges {
			streams.ErrPrinter().Printf("warning: %d edges, and Mermaid draws no more than %d unless its maxEdges is raised; -n narrows it down, -o dot has no limit\n",
				len(g.edges), mermaidEdges)
		}
		return g.mermaid(p)
	default:
		err = printConnectivityTable(p, pairs, opts.Format == output.Wide)
	}
	if err != nil {
		return err
	}
	s := summarize(pairs)
	some := ""
	if s.Some > 0 {
		some = fmt.Sprintf(", %d for some pods only", s.Some)
	}
	streams.ErrPrinter().Printf("%d allowed, %d denied%s\n", s.Allow, s.Deny-s.Some, some)
	return nil
}

// connectivityRow is a line of the tables.
type connectivityRow struct {
	port, result, by string
}

// connectivityRows are the ports that a destination declares; where it declares
// none, but spaces were asked for, what is allowed.
func connectivityRows(p *connectivity.Pair) []connectivityRow {
	var out []connectivityRow
	for i := range p.Ports {
		v := &p.Ports[i]
		row := connectivityRow{port: connectivity.PortText(v.Protocol, v.Port), result: resultWord(v.All())}
		if v.Some() {
			row.result = fmt.Sprintf("some (%d of %d)", v.Allowed, v.Pairs)
		}
		if v.By != nil {
			row.by = hitText(newHitReport(*v.By, v.Direction))
		}
		out = append(out, row)
	}
	if len(out) > 0 || !connectivity.Outside(p.Destination) {
		return out
	}
	if !p.Open.Empty() {
		out = append(out, connectivityRow{port: p.Open.String(), result: "allow"})
	}
	if !p.Partly.Empty() {
		out = append(out, connectivityRow{port: p.Partly.String(), result: "some"})
	}
	if len(out) == 0 {
		out = append(out, connectivityRow{port: "any", result: "deny"})
	}
	return out
}

// allowedText is what is allowed on any port.
func allowedText(p *connectivity.Pair) string {
	switch {
	case p.Partly.Empty():
		return p.Open.String()
	case p.Open.Empty():
		return "some pods " + p.Partly.String()
	}
	return p.Open.String() + "; some pods " + p.Partly.String()
}

func printConnectivityTable(p *output.Printer, pairs []connectivity.Pair, wide bool) error {
	columns := []string{"FROM", "TO", "PORT", "RESULT"}
	if wide {
		columns = append(columns, "BY", "ALLOWED ON ALL PORTS")
	}
	t := p.Table(columns...)
	for i := range pairs {
		pair := &pairs[i]
		rows := connectivityRows(pair)
		if len(rows) == 0 && wide {
			rows = []connectivityRow{{}}
		}
		for _, r := range rows {
			row := []any{connectivity.NodeText(pair.Source), connectivity.NodeText(pair.Destination), r.port, resultCell(r.result)}
			if wide {
				row = append(row, r.by, allowedText(pair))
			}
			t.Row(row...)
		}
	}
	return t.Print()
}

func resultCell(result string) output.Cell {
	switch {
	case result == "allow":
		return output.Cell{Text: result, Style: output.Good}
	case result == "deny":
		return output.Cell{Text: result, Style: output.Bad}
	}
	return output.Cell{Text: result, Style: output.Warn}
}

func printConnectivityCSV(p *output.Printer, pairs []connectivity.Pair) error {
	w := csv.NewWriter(p.W)
	w.Write([]string{"source", "destination", "protocol", "port", "result", "allowedPairs", "pairs", "by"}) //nolint:errcheck // Error tells
	for i := range pairs {
		pair := &pairs[i]
		src, dst := cellText(connectivity.NodeText(pair.Source)), cellText(connectivity.NodeText(pair.Destination))
		for k := range pair.Ports {
			v := &pair.Ports[k]
			by, result := "", resultWord(v.All())
			if v.By != nil {
				by = hitText(newHitReport(*v.By, v.Direction))
			}
			if v.Some() {
				result = "some"
			}
			w.Write([]string{src, dst, v.Protocol.String(), fmt.Sprint(v.Port), result, fmt.Sprint(v.Allowed), fmt.Sprint(v.Pairs), by}) //nolint:errcheck // Error tells
		}
		if len(pair.Ports) == 0 {
			for _, r := range connectivityRows(pair) {
				w.Write([]string{src, dst, r.port, "", r.result, "", "", ""}) //nolint:errcheck // Error tells
			}
		}
	}
	w.Flush()
	return w.Error()
}

// cellText keeps a spreadsheet from taking a name for a formula.
func cellText(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func printConnectivityMarkdown(p *output.Printer, pairs []connectivity.Pair) error {
	p.Printf("| From | To | Allowed | Denied | On all ports |\n|---|---|---|---|---|\n")
	for i := range pairs {
		pair := &pairs[i]
		var allowed, denied []string
		for _, r := range connectivityRows(pair) {
			switch {
			case r.result == "allow":
				allowed = append(allowed, r.port)
			case r.result == "deny":
				denied = append(denied, r.port)
			default:
				allowed = append(allowed, r.port+" "+r.result)
			}
		}
		if len(allowed)+len(denied) == 0 {
			continue
		}
		p.Printf("| %s | %s | %s | %s | %s |\n", markdown(connectivity.NodeText(pair.Source)), markdown(connectivity.NodeText(pair.Destination)),
			markdown(strings.Join(allowed, ", ")), markdown(strings.Join(denied, ", ")), markdown(allowedText(pair)))
	}
	return nil
}

// markdown escapes text for a cell of a Markdown table.
func markdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", ">", "&gt;", "\n", " ").Replace(s)
}

// hitText is what decided, on one line: tier/policy and rule.
func hitText(h hitReport) string {
	name := h.Name
	if h.Namespace != "" {
		name = h.Namespace + "/" + name
	}
	where := fmt.Sprintf(", rule %d", h.Rule)
	switch {
	case h.Rule == policy.RuleUnknown:
		where = ""
	case h.Rule < 0:
		where = ", end of tier"
	}
	return fmt.Sprintf("%s: %s %s%s", h.Tier, h.Kind, name, where)
}
