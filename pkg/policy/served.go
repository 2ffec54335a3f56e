package policy

import "strings"

// Served is one resource as an API server sends it, with what of its metadata
// is needed to follow it there.
type Served struct {
	Resource
	// Namespace and Name are what the server knows it by; Key may have others
	// (StoredName).
	Namespace, Name string
	// Version is the resourceVersion.
	Version string
	// Faults are of this resource; they have no places.
	Faults Faults
}

// ServedList is the part of a list that is not its items.
type ServedList struct {
	Version string // of the list
	Next    string // token of the next page, empty for the last
}

// ServedList decodes a page of a list that an API server sends, item by item;
// items that do not say what they are have this apiVersion and kind. Nothing of
// data is kept.
func (d *Decoder) ServedList(data []byte, apiVersion, kind string, item func(Served)) (ServedList, error) {
	p := d.server()
	defer d.servers.Put(p)
	p.begin(data)
	var list ServedList
	p.each(func(key string) {
		switch key {
		case "metadata":
			meta := p.value()
			list.Version = strings.Clone(textOf(meta.get("resourceVersion")))
			list.Next = strings.Clone(textOf(meta.get("continue")))
			p.forget()
		case "items":
			p.items(func(n *node) { item(d.served(n, apiVersion, kind)) })
		default:
			p.skip()
		}
	})
	err := p.end()
	return list, err
}

// ServedEvent decodes one event of a watch: its type, and for ADDED, MODIFIED
// and DELETED the resource.
func (d *Decoder) ServedEvent(data []byte) (event string, s Served, err error) {
	p := d.server()
	defer d.servers.Put(p)
	p.begin(data)
	root := p.value()
	if err := p.end(); err != nil {
		return "", s, err
	}
	event = strings.Clone(textOf(root.get("type")))
	object := root.get("object")
	if object != nil && (event == "ADDED" || event == "MODIFIED" || event == "DELETED") {
		s = d.served(object, "", "")
	}
	return event, s, nil
}

func (d *Decoder) server() *servedParser {
	if p, _ := d.servers.Get().(*servedParser); p != nil {
		return p
	}
	return &servedParser{}
}

// items reads a list of resources, one at a time.
func (p *servedParser) items(f func(*node)) {
	if p.next() == 'n' { // null: none
		p.value()
		return
	}
	p.take('[')
	for more := p.next() != ']'; more && !p.bad; {
		p.forget()
		n := p.value()
		if p.bad {
			return
		}
		f(&n)
		if more = p.next() == ','; more {
			p.pos++
		}
	}
	p.take(']')
}

// end is an error if the text was not one whole value.
func (p *servedParser) end() error {
	bad := p.bad || p.next() != 0
	p.in = ""
	if bad {
		return errServed
	}
	return nil
}

// served reads one resource.
func (d *Decoder) served(n *node, apiVersion, kind string) Served {
	if n.kind == isMap {
		n.supply("kind", kind)
		n.supply("apiVersion", apiVersion)
	}
	var s Served
	if meta := n.get("metadata"); meta != nil {
		s.Namespace = d.shared.str(textOf(meta.get("namespace")))
		s.Name = strings.Clone(textOf(meta.get("name")))
		s.Version = strings.Clone(textOf(meta.get("resourceVersion")))
	}
	var out []Resource
	out, s.Faults = d.document("", n, nil, nil)
	if len(out) == 1 {
		s.Resource = out[0]
		if s.Key.Name == s.Name {
			s.Name = s.Key.Name // one string is enough
		}
	}
	return s
}

// supply gives a mapping a key that it lacks.
func (n *node) supply(key, text string) {
	if text != "" && n.get(key) == nil {
		n.kids = append(n.kids, entry{key: key, node: node{kind: isString, text: text}})
	}
}
