package hubble

import (
	"cmp"

	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// decoder reads lines in the form that Hubble writes by a parser of our own, and
// all others by encoding/json. It is for one goroutine.
type decoder struct {
	top, packet, ip, l4, ports, flags, service *jsonlines.Names

	texts     jsonlines.Texts
	endpoints *jsonlines.Known[endpoint]
	lists     *jsonlines.Known[[]string]
}

func newDecoder() func([]byte) (told, error) { return makeDecoder().decode }

func makeDecoder() *decoder {
	return &decoder{
		top: jsonlines.NewNames("flow", "lost_events", "node_name", "time", "verdict").Inside(0),
		packet: jsonlines.NewNames("time", "verdict", "drop_reason_desc", "IP", "l4", "source", "destination", "destination_names", "Type",
			"node_name", "l7", "is_reply", "reply", "destination_service", "traffic_direction", "trace_observation_point").Inside(3, 4, 13),
		ip:      jsonlines.NewNames("source", "destination"),
		l4:      jsonlines.NewNames("TCP", "UDP", "SCTP", "ICMPv4", "ICMPv6").Inside(0, 1, 2),
		ports:   jsonlines.NewNames("source_port", "destination_port", "flags").Inside(2),
		flags:   jsonlines.NewNames("SYN", "ACK"),
		service: jsonlines.NewNames("name", "namespace"),
		texts:   jsonlines.Texts{}, endpoints: jsonlines.NewKnown[endpoint](), lists: jsonlines.NewKnown[[]string](),
	}
}

func (d *decoder) decode(line []byte) (told, error) {
	e, ok := d.event(line)
	if !ok {
		var err error
		if e, err = parseEvent(line); err != nil {
			return told{}, err
		}
	}
	return e.tell()
}

// event reads a line with a flow; false if encoding/json has to.
func (d *decoder) event(line []byte) (*event, bool) {
	e := &event{}
	o, ok := d.top.Object(line), true
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		switch i {
		case 0:
			e.Flow = &packet{}
			ok = d.flow(e.Flow, &o)
		case 2:
			e.Node, ok = d.texts.Value(value)
		case 3:
			e.Time, ok = jsonlines.TimeValue(value)
		default:
			ok = false
		}
		if !ok {
			return nil, false
		}
	}
	if !o.Whole() || e.Flow == nil {
		return nil, false
	}
	if e.Flow.Time.IsZero() {
		e.Flow.Time = e.Time
	}
	e.Flow.Node = cmp.Or(e.Flow.Node, e.Node)
	return e, true
}

// flow reads a Flow of Hubble.
func (d *decoder) flow(p *packet, in *jsonlines.Object) bool {
	o := in.Inside(d.packet)
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		if !d.field(p, &o, i, value) {
			return false
		}
	}
	return in.Leave(&o)
}

// field reads a field of a Flow by its place.
func (d *decoder) field(p *packet, o *jsonlines.Object, i int, value []byte) (ok bool) {
	switch i {
	case 0:
		p.Time, ok = jsonlines.TimeValue(value)
	case 1:
		p.Verdict, ok = d.texts.Value(value)
	case 2:
		p.DropReason, ok = d.texts.Value(value)
	case 3:
		p.IP.Source, p.IP.Destination, ok = d.pair(d.ip, o)
	case 4:
		ok = d.layer4(&p.L4, o)
	case 5:
		ok = d.endpoint(&p.Source, value)
	case 6:
		ok = d.endpoint(&p.Destination, value)
	case 7:
		if names := d.lists.Get(value, jsonlines.Decode[[]string]); names != nil {
			p.Domains, ok = *names, true
		}
	case 8:
		p.Type, ok = d.texts.Value(value)
	case 9:
		p.Node, ok = d.texts.Value(value)
	case 10:
		p.L7, ok = append(p.L7, value...), true
	case 11:
		var reply bool
		reply, ok = jsonlines.Bool(value)
		p.IsReply = &reply
	case 12:
		p.Reply, ok = jsonlines.Bool(value)
	case 13:
		p.Service.Name, p.Service.Namespace, ok = d.pair(d.service, o)
	case 14:
		p.Direction, ok = d.texts.Value(value)
	case 15:
		p.Point, ok = d.texts.Value(value)
	}
	return ok
}

// pair reads an object of two texts.
func (d *decoder) pair(names *jsonlines.Names, in *jsonlines.Object) (first, second string, ok bool) {
	o := in.Inside(names)
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		to := &first
		if i == 1 {
			to = &second
		}
		if *to, ok = d.texts.Value(value); !ok {
			return "", "", false
		}
	}
	return first, second, in.Leave(&o)
}

func (d *decoder) endpoint(to *endpoint, data []byte) bool {
	e := d.endpoints.Get(data, func(data []byte) (*endpoint, error) {
		e, err := jsonlines.Decode[endpoint](data)
		if err == nil {
			e.own = e.labels()
		}
		return e, err
	})
	if e == nil {
		return false
	}
	*to = *e
	return true
}

// layer4 reads l4, ICMP apart.
func (d *decoder) layer4(to *l4, in *jsonlines.Object) bool {
	o := in.Inside(d.l4)
	for i, _ := o.Next(); i >= 0; i, _ = o.Next() {
		p := &ports{}
		switch i {
		case 0:
			to.TCP = p
		case 1:
			to.UDP = p
		case 2:
			to.SCTP = p
		default:
			return false
		}
		if !d.port(p, &o) {
			return false
		}
	}
	return in.Leave(&o)
}

func (d *decoder) port(to *ports, in *jsonlines.Object) bool {
	o := in.Inside(d.ports)
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		n, ok := jsonlines.Uint(value, 65535)
		switch i {
		case 0:
			to.Source = uint16(n)
		case 1:
			to.Destination = uint16(n)
		case 2:
			to.Flags = &flags{}
			ok = d.flag(to.Flags, &o)
		}
		if !ok {
			return false
		}
	}
	return in.Leave(&o)
}

func (d *decoder) flag(to *flags, in *jsonlines.Object) bool {
	o := in.Inside(d.flags)
	for i, value := o.Next(); i >= 0; i, value = o.Next() {
		set, ok := jsonlines.Bool(value)
		if !ok {
			return false
		}
		if i == 0 {
			to.SYN = set
		} else {
			to.ACK = set
		}
	}
	return in.Leave(&o)
}
