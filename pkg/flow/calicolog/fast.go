package calicolog

import (
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// decoder reads lines in the form that Calico writes by a parser of our own, and
// all others by encoding/json. It is for one goroutine.
type decoder struct {
	names    *jsonlines.Names
	texts    jsonlines.Texts
	labels   *jsonlines.Known[labels]
	policies *jsonlines.Known[policies]
	lists    *jsonlines.Known[[]string]
}

// The first fields that are numbers, and that are neither texts nor numbers, by
// the places of their names.
const (
	firstNumber = 16
	firstOther  = 24
)

func newDecoder() func([]byte) (flow.Flow, error) { return makeDecoder().decode }

func makeDecoder() *decoder {
	return &decoder{
		names: jsonlines.NewNames(
			"source_type", "source_name", "source_name_aggr", "source_namespace", "source_ip",
			"dest_type", "dest_name", "dest_name_aggr", "dest_namespace", "dest_ip",
			"dest_service_namespace", "dest_service_name", "dest_service_port_name", "proto", "action", "reporter",
			"dest_port", "packets_in", "packets_out", "bytes_in", "bytes_out", "num_flows_started", "num_flows_completed", "num_flows",
			"start_time", "end_time", "source_labels", "dest_labels", "dest_domains", "dest_service_port", "policies", "_source",
		),
		texts: jsonlines.Texts{}, labels: jsonlines.NewKnown[labels](), policies: jsonlines.NewKnown[policies](), lists: jsonlines.NewKnown[[]string](),
	}
}

func (d *decoder) decode(line []byte) (flow.Flow, error) {
	r := &record{}
	if !d.record(r, line) {
		var err error
		if r, err = parseRecord(line); err != nil {
			return flow.Flow{}, err
		}
	}
	return r.flow()
}

// record reads a line; false if encoding/json has to.
func (d *decoder) record(r *record, line []byte) bool {
	o := d.names.Object(line)
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		ok := false
		switch {
		case i < firstNumber:
			*r.text(i), ok = d.texts.Value(value)
		case i < firstOther:
			*r.number(i - firstNumber), ok = count(value)
		default:
			ok = d.other(r, i-firstOther, value)
		}
		if !ok {
			return false
		}
	}
	return o.Whole()
}

// text is a field that is a text, by the place of its name.
func (r *record) text(i int) *string {
	return [firstNumber]*string{
		&r.SourceType, &r.SourceName, &r.SourceNameAggr, &r.SourceNamespace, &r.SourceIP,
		&r.DestType, &r.DestName, &r.DestNameAggr, &r.DestNamespace, &r.DestIP,
		&r.ServiceNamespace, &r.ServiceName, &r.ServicePortName, &r.Protocol, &r.Action, &r.Reporter,
	}[i]
}

// number is a field that is a number, by the place of its name.
func (r *record) number(i int) *number {
	return [firstOther - firstNumber]*number{
		&r.DestPort, &r.PacketsIn, &r.PacketsOut, &r.BytesIn, &r.BytesOut, &r.Started, &r.Completed, &r.Flows,
	}[i]
}

func count(value []byte) (number, bool) {
	if jsonlines.IsNull(value) {
		return 0, true
	}
	n, ok := jsonlines.Uint(value, flow.MaxCount)
	return number(n), ok
}

// other reads a field that is neither a text nor a number.
func (d *decoder) other(r *record, i int, value []byte) bool {
	switch i {
	case 0:
		return seconds(&r.Start, value)
	case 1:
		return seconds(&r.End, value)
	case 2:
		return d.label(&r.SourceLabels, value)
	case 3:
		return d.label(&r.DestLabels, value)
	case 4:
		names := d.lists.Get(value, jsonlines.Decode[[]string])
		if names != nil {
			r.DestDomains = *names
		}
		return names != nil
	case 5:
		if value[0] != '"' {
			return true // passed over
		}
		text, ok := d.texts.Value(value)
		r.ServicePort = anyText(text)
		return ok
	case 6:
		if jsonlines.IsNull(value) {
			return true
		}
		r.Policies = d.policies.Get(value, func(value []byte) (*policies, error) {
			p, err := jsonlines.Decode[policies](value)
			if err == nil {
				var t traces
				t, err = p.read()
				p.own = &t
			}
			return p, err
		})
		return r.Policies != nil
	}
	return false // a document of Elasticsearch
}

func seconds(to *moment, value []byte) bool {
	n, ok := jsonlines.Uint(value, 1<<62-1)
	return ok && to.set(int64(n))
}

func (d *decoder) label(to *labels, value []byte) bool {
	l := d.labels.Get(value, func(value []byte) (*labels, error) {
		l, err := jsonlines.Decode[labels](value)
		if err == nil {
			l.own = l.read()
		}
		return l, err
	})
	if l != nil {
		*to = *l
	}
	return l != nil
}
