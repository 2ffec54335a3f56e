package cmd

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/internal/output"
)

// probeMatrix has a row for each source and a column for each destination and
// port.
type probeMatrix struct {
	rows    []probe.Peer
	columns []column
	cells   map[cell]prober.Result
}

type column struct {
	peer     probe.Peer
	protocol string
	port     uint16
}

type cell struct {
	row    probe.Peer
	column column
}

func newMatrix(items []probe.Item) *probeMatrix {
	m := &probeMatrix{cells: map[cell]prober.Result{}}
	rows, columns := map[probe.Peer]bool{}, map[column]bool{}
	for _, it := range items {
		c := column{it.Destination, it.Protocol, it.Port}
		if !rows[it.Source] {
			m.rows = append(m.rows, it.Source)
		}
		if !columns[c] {
			m.columns = append(m.columns, c)
		}
		rows[it.Source], columns[c] = true, true
		m.cells[cell{it.Source, c}] = it.Result
	}
	slices.SortFunc(m.columns, func(a, b column) int {
		return cmp.Or(cmp.Compare(a.peer.Namespace, b.peer.Namespace), cmp.Compare(a.peer.Workload, b.peer.Workload),
			cmp.Compare(a.port, b.port), cmp.Compare(a.protocol, b.protocol))
	})
	return m
}

func (c column) probePort() string {
	if c.port == 0 {
		return strings.ToLower(c.protocol)
	}
	s := strconv.Itoa(int(c.port))
	if c.protocol != "TCP" {
		s += "/" + strings.ToLower(c.protocol)
	}
	return s
}

// resultWords are the results as a matrix has them.
var resultWords = map[prober.Result]string{
	prober.Connected: "yes", prober.Closed: "closed", prober.Blocked: "no", prober.Error: "error",
}

// print writes the matrix, in several parts if its columns are too many for
// the width.
func (m *probeMatrix) print(p *output.Printer, width int) error {
	first := len("to namespace")
	for _, r := range m.rows {
		first = max(first, len(r.String()))
	}
	for start := 0; start < len(m.columns); {
		end, used := start, first
		for end < len(m.columns) && (end == start || used+m.columns[end].width() <= width) {
			used += m.columns[end].width()
			end++
		}
		if start > 0 {
			p.Printf("\n")
		}
		if err := m.part(p, m.columns[start:end]); err != nil {
			return err
		}
		start = end
	}
	return nil
}

func (c column) width() int {
	return 3 + max(len(c.peer.Workload), len(c.peer.Namespace), len(c.probePort()), len("closed"))
}

func (m *probeMatrix) part(p *output.Printer, columns []column) error {
	head := []string{"FROM"}
	namespaces, ports := []any{faint("to namespace")}, []any{faint("to port")}
	for _, c := range columns {
		head = append(head, c.peer.Workload)
		namespaces = append(namespaces, faint(c.peer.Namespace))
		ports = append(ports, faint(c.probePort()))
	}
	t := p.Table(head...)
	t.Row(namespaces...)
	t.Row(ports...)
	for _, r := range m.rows {
		row := []any{r.String()}
		for _, c := range columns {
			var text output.Cell
			if result, tried := m.cells[cell{r, c}]; tried {
				text = output.Cell{Text: resultWords[result], Style: style(result)}
			}
			row = append(row, text)
		}
		t.Row(row...)
	}
	return t.Print()
}

func faint(s string) output.Cell { return output.Cell{Text: s, Style: output.Faint} }
