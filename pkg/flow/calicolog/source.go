// Package calicolog reads flows from Calico's flow logs, as Calico writes them
// to files and to Elasticsearch: one JSON object a line.
//
// It looks nothing up: names are as Calico tells them (flow.Named finds what
// they mean).
package calicolog

import (
	"io"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// Each calls f for every flow log that r has, in order. An error names the file
// and the line.
func Each(name string, r io.Reader, f func(flow.Flow) error) error {
	return jsonlines.Each(name, io.NopCloser(r), newDecoder, func(fl *flow.Flow) error { return f(*fl) })
}

// NewSource reads flows from what open opens, anew for each call; name is what
// errors call it. What is covered is what the logs are of.
func NewSource(name string, open func() (io.ReadCloser, error)) *jsonlines.Source {
	return &jsonlines.Source{
		Open: open,
		Each: func(r io.ReadCloser, f func(*flow.Flow) error) (int64, error) {
			return 0, jsonlines.Each(name, r, newDecoder, f)
		},
		Settle: (*flow.Flow).Settle,
	}
}
