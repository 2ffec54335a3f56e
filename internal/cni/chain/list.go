// Package chain puts a plugin into the network configuration of a node and
// takes it out again: the program into the directory of plugins, an entry at
// the end of the list that the container runtime uses, and nothing else
// changed. Each step is whole or not there at all, and at no step names a
// configuration a program that is not there.
package chain

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
)

// span is where a value stands in a text.
type span struct{ from, to int }

// pluginsOf finds the elements of a configuration list's plugins, and where
// the brackets around them begin and end.
func pluginsOf(list []byte) (elements []span, brackets span, err error) {
	d := json.NewDecoder(bytes.NewReader(list))
	if err := expect(d, '{'); err != nil {
		return nil, brackets, err
	}
	found := false
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, brackets, err
		}
		if key != "plugins" {
			if err := d.Decode(new(json.RawMessage)); err != nil {
				return nil, brackets, err
			}
			continue
		}
		if found {
			return nil, brackets, errors.New("plugins is there twice")
		}
		found = true
		if elements, brackets, err = elementsOf(d); err != nil {
			return nil, brackets, err
		}
	}
	if err := expect(d, '}'); err != nil {
		return nil, brackets, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, brackets, errors.New("something follows the object")
	}
	if !found || len(elements) == 0 {
		return nil, brackets, errors.New("no plugins")
	}
	return elements, brackets, nil
}

// elementsOf reads the array that comes next.
func elementsOf(d *json.Decoder) (elements []span, brackets span, err error) {
	if err := expect(d, '['); err != nil {
		return nil, brackets, fmt.Errorf("plugins: %w", err)
	}
	brackets.from = int(d.InputOffset()) - 1
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, brackets, err
		}
		end := int(d.InputOffset())
		elements = append(elements, span{end - len(raw), end})
	}
	err = expect(d, ']')
	brackets.to = int(d.InputOffset())
	return elements, brackets, err
}

func expect(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err == nil && t != want {
		err = fmt.Errorf("expected %s", want)
	}
	return err
}

// typeOf is the plugin that an element of a list is for; empty if it says none.
func typeOf(element []byte) string {
	var p struct{ Type string }
	if json.Unmarshal(element, &p) != nil {
		return ""
	}
	return p.Type
}

// with is a list with entry as its last plugin and no other of entry's type.
// Everything else is what it was, byte by byte.
func with(list, entry []byte) ([]byte, error) {
	elements, _, err := pluginsOf(list)
	if err != nil {
		return nil, err
	}
	last := elements[len(elements)-1]
	if same(list[last.from:last.to], entry) && len(entries(list, elements, typeOf(entry))) == 1 {
		return list, nil
	}
	list, err = without(list, typeOf(entry))
	if err != nil {
		return nil, err
	}
	elements, brackets, err := pluginsOf(list)
	if err != nil {
		return nil, err
	}
	// Like its neighbour: on a line of its own where that is.
	last = elements[len(elements)-1]
	before := brackets.from + 1
	if len(elements) > 1 {
		before = elements[len(elements)-2].to + 1
	}
	space := bytes.TrimLeft(list[before:last.from], ",")
	if len(bytes.TrimSpace(space)) > 0 {
		space = nil
	}
	out := append(bytes.Clone(list[:last.to]), ',')
	out = append(append(out, space...), entry...)
	return append(out, list[last.to:]...), nil
}

// without is a list without the plugins of a type: what with made of it is made
// undone byte by byte.
func without(list []byte, kind string) ([]byte, error) {
	for {
		elements, _, err := pluginsOf(list)
		if err != nil {
			return nil, err
		}
		ours := entries(list, elements, kind)
		if len(ours) == 0 {
			return list, nil
		}
		if len(elements) == 1 {
			return nil, fmt.Errorf("%s is the only plugin", kind)
		}
		i := ours[0]
		gone := span{elements[i].from, elements[i].to}
		if i > 0 {
			gone.from = elements[i-1].to // the comma goes with it
		} else {
			gone.to = elements[1].from
		}
		list = append(bytes.Clone(list[:gone.from]), list[gone.to:]...)
	}
}

// entries are the elements of a type, by index.
func entries(list []byte, elements []span, kind string) (out []int) {
	for i, e := range elements {
		if typeOf(list[e.from:e.to]) == kind {
			out = append(out, i)
		}
	}
	return out
}

func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// listOf is the list of a configuration of one plugin, as container runtimes
// make it of that themselves.
func listOf(conf []byte) ([]byte, error) {
	var p struct {
		CNIVersion string `json:"cniVersion"`
		Name       string `json:"name"`
		Type       string `json:"type"`
	}
	if err := json.Unmarshal(conf, &p); err != nil {
		return nil, err
	}
	if p.Type == "" {
		return nil, errors.New("no type of plugin")
	}
	head, err := json.Marshal(struct {
		CNIVersion string `json:"cniVersion,omitempty"`
		Name       string `json:"name"`
	}{p.CNIVersion, p.Name})
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "%s,\"plugins\":[\n%s\n]}\n", head[:len(head)-1], bytes.TrimSpace(conf)), nil
}
