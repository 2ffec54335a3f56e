package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// flowMatrixReport is the JSON of flows --by.
type flowMatrixReport struct {
	output.Meta
	By       string         `json:"by"` // namespace or workload
	Coverage coverageReport `json:"coverage"`
	// Seconds are what rates are averages over: the time that is covered, and what
	// reaches beyond it of the 15 seconds, or hours, that connections are counted in.
	Seconds float64      `json:"seconds"`
	Items   []matrixItem `json:"items"`
}

// matrixItem is all that goes from one place to another.
type matrixItem struct {
	Source      matrixPlace `json:"source"`
	Destination matrixPlace `json:"destination"`
	// Connections count once, though both ends report them.
	Connections          int64     `json:"connections"`
	Denied               int64     `json:"denied"`
	Bytes                int64     `json:"bytes"` // both ways
	ConnectionsPerSecond float64   `json:"connectionsPerSecond"`
	BytesPerSecond       float64   `json:"bytesPerSecond"`
	FirstSeen            time.Time `json:"firstSeen"`
	LastSeen             time.Time `json:"lastSeen"`
}

// matrixPlace is a namespace or workload, the nodes, or what is outside.
type matrixPlace struct {
	Kind      string `json:"kind"` // Namespace, Nodes, Outside, or a workload's kind
	Namespace string `json:"namespace,omitempty"`
	Workload  string `json:"workload,omitempty"`
}

// String is the place in a table.
func (p matrixPlace) String() string {
	switch {
	case p.Workload != "":
		return strings.TrimPrefix(p.Namespace+"/"+p.Workload, "/")
	case p.Namespace != "":
		return p.Namespace
	}
	return "(" + strings.ToLower(p.Kind) + ")"
}

func placeOf(p flow.Peer, by string) matrixPlace {
	switch p.Kind {
	case flow.PeerHost:
		return matrixPlace{Kind: "Nodes"}
	case flow.PeerWorkload:
		if by == "namespace" {
			return matrixPlace{Kind: "Namespace", Namespace: p.Workload.Namespace}
		}
		return matrixPlace{Kind: string(cmp.Or(p.Workload.Kind, "Workload")), Namespace: p.Workload.Namespace, Workload: p.Workload.Name}
	case flow.PeerNetworkSet:
		if by == "workload" {
			return matrixPlace{Kind: string(flow.PeerNetworkSet), Namespace: p.Workload.Namespace, Workload: p.Workload.Name}
		}
	}
	return matrixPlace{Kind: "Outside"}
}

// newFlowMatrix sums flows up by places.
func newFlowMatrix(flows []flow.Flow, by string, c flow.Coverage) flowMatrixReport {
	doc := flowMatrixReport{Meta: output.NewMeta("FlowMatrix"), By: by, Coverage: newCoverageReport(c), Items: []matrixItem{}}
	doc.Seconds = max(counted(flows, c).Seconds(), 1)
	at := map[[2]matrixPlace]*matrixItem{}
	for _, o := range flow.Merge(flows) {
		k := [2]matrixPlace{placeOf(o.Source, by), placeOf(o.Destination, by)}
		it := at[k]
		if it == nil {
			it = &matrixItem{Source: k[0], Destination: k[1], FirstSeen: o.FirstSeen, LastSeen: o.LastSeen}
			at[k] = it
		}
		it.Connections += o.Connections
		it.Denied += o.Denied
		if o.FirstSeen.Before(it.FirstSeen) {
			it.FirstSeen = o.FirstSeen
		}
		if o.LastSeen.After(it.LastSeen) {
			it.LastSeen = o.LastSeen
		}
	}
	for k, n := range bytesOf(flows) {
		if it := at[[2]matrixPlace{placeOf(k.source, by), placeOf(k.destination, by)}]; it != nil {
			it.Bytes += n
		}
	}
	for _, it := range at {
		it.ConnectionsPerSecond, it.BytesPerSecond = float64(it.Connections)/doc.Seconds, float64(it.Bytes)/doc.Seconds
		it.FirstSeen, it.LastSeen = it.FirstSeen.UTC().Truncate(time.Second), it.LastSeen.UTC().Truncate(time.Second)
		doc.Items = append(doc.Items, *it)
	}
	slices.SortFunc(doc.Items, func(a, b matrixItem) int {
		return cmp.Or(comparePlaces(a.Source, b.Source), comparePlaces(a.Destination, b.Destination))
	})
	return doc
}

// counted is how long the time is that the flows were counted in. Of a span that was
// asked for it is longer, where it begins or ends within what is counted as a whole.
func counted(flows []flow.Flow, c flow.Coverage) time.Duration {
	from, to := c.From, c.To
	for i := range flows {
		f := &flows[i]
		if f.Connections == 0 { // open for longer
			continue
		}
		if f.FirstSeen.Before(from) {
			from = f.FirstSeen
		}
		if f.LastSeen.After(to) {
			to = f.LastSeen
		}
	}
	return to.Sub(from)
}

func comparePlaces(a, b matrixPlace) int {
	return cmp.Or(
		cmp.Compare(placeRank(a), placeRank(b)), strings.Compare(a.Namespace, b.Namespace),
		strings.Compare(a.Workload, b.Workload), strings.Compare(a.Kind, b.Kind),
	)
}

// placeRank puts what is inside first.
func placeRank(p matrixPlace) int { return slices.Index([]string{"Nodes", "Outside"}, p.Kind) }

type bytesKey struct {
	source, destination flow.Peer
	protocol            policy.Protocol
	port                uint16
}

// bytesOf are the bytes of each flow, both ways: those of the end that counted
// more, since both count the same.
func bytesOf(flows []flow.Flow) map[bytesKey]int64 {
	ends := map[bytesKey]*[2]int64{}
	for i := range flows {
		f := &flows[i]
		k := bytesKey{f.Source, f.Destination, f.Protocol, f.Port}
		if ends[k] == nil {
			ends[k] = &[2]int64{}
		}
		ends[k][f.Direction] += f.BytesIn + f.BytesOut
	}
	out := make(map[bytesKey]int64, len(ends))
	for k, n := range ends {
		out[k] = max(n[0], n[1])
	}
	return out
}

func printFlowMatrix(p *output.Printer, doc *flowMatrixReport) error {
	if len(doc.Items) == 0 {
		return nil // the line below it says so
	}
	t := p.Table("FROM", "TO", "CONNS", "CONNS/S", "BYTES/S", "DENIED")
	for i := range doc.Items {
		it := &doc.Items[i]
		t.Row(it.Source, it.Destination, output.Count(it.Connections, doc.Coverage.LostUnknown),
			rateWords(it.ConnectionsPerSecond), rateWords(it.BytesPerSecond), it.Denied)
	}
	return t.Print()
}

// rateWords is a rate in three digits or so: 0.012, 4.5, 120, 12.3k.
func rateWords(v float64) string {
	for _, unit := range []string{"", "k", "M", "G", "T"} {
		switch {
		case v == 0:
			return "0"
		case v < 0.001:
			return "<0.001"
		case v < 0.995:
			return fmt.Sprintf("%.3f%s", v, unit)
		case v < 99.95:
			return fmt.Sprintf("%.1f%s", v, unit)
		case v < 999.5 || unit == "T":
			return fmt.Sprintf("%.0f%s", v, unit)
		}
		v /= 1000
	}
	return ""
}
