package cmd

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
)

func serviceTable(p *output.Printer, w *world, keys []policy.Key, wide bool) error {
	columns := []string{"NAMESPACE", "NAME", "ADDRESS", "PORTS", "SELECTOR"}
	if wide {
		columns = []string{"NAMESPACE", "NAME", "ADDRESS", "PORTS", "PODS", "OTHER-BACKENDS", "FILE", "SELECTOR"}
	}
	t := p.Table(columns...)
	for _, k := range keys {
		s := w.snap.Service(k.Namespace, k.Name)
		var ports, backends []string
		for _, port := range s.Ports {
			ports = append(ports, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
		}
		for _, b := range s.Backends {
			backends = append(backends, b.Addr.String())
		}
		cells := []any{s.Namespace, s.Name, addrText(s.Addrs), strings.Join(ports, ",")}
		if wide {
			cells = append(cells, len(w.snap.ServiceEndpoints(s)), few(backends, 4), s.Origin)
		}
		t.Row(append(cells, labelText(s.Selector))...)
	}
	t.Optional("FILE")
	return t.Print()
}

func setTable(p *output.Printer, w *world, keys []policy.Key, wide bool) error {
	columns := []string{"NAME", "NETS", "LABELS"}
	if wide {
		columns = []string{"NAME", "COUNT", "NETS", "FILE", "LABELS"}
	}
	global := keys[0].Namespace == ""
	if !global {
		columns = append([]string{"NAMESPACE"}, columns...)
	}
	t := p.Table(columns...)
	for _, k := range keys {
		s := w.snap.NetworkSet(k)
		var nets []string
		for _, n := range s.Nets {
			nets = append(nets, n.String())
		}
		cells := []any{s.Name, few(nets, 2), labelText(s.Labels)}
		if wide {
			cells = []any{s.Name, len(nets), few(nets, 8), s.Origin, labelText(s.Labels)}
		}
		if !global {
			cells = append([]any{s.Namespace}, cells...)
		}
		t.Row(cells...)
	}
	t.Optional("FILE")
	return t.Print()
}

func hostTable(p *output.Printer, w *world, keys []policy.Key, wide bool) error {
	columns := []string{"NAME", "NODE", "INTERFACE", "ADDRESS", "LABELS"}
	if wide {
		columns = []string{"NAME", "NODE", "INTERFACE", "ADDRESS", "PORTS", "PROFILES", "FILE", "LABELS"}
	}
	t := p.Table(columns...)
	for _, k := range keys {
		h := w.snap.HostEndpoint(k.Name)
		cells := []any{h.Name, h.Node, h.Interface, addrText(h.Addrs)}
		if wide {
			var ports []string
			for _, port := range h.Ports {
				ports = append(ports, fmt.Sprintf("%s:%d/%s", port.Name, port.Port, port.Protocol))
			}
			cells = append(cells, strings.Join(ports, ","), strings.Join(h.Profiles, ","), h.Origin)
		}
		t.Row(append(cells, labelText(h.Labels))...)
	}
	t.Optional("FILE")
	return t.Print()
}

func accountTable(p *output.Printer, w *world, keys []policy.Key) error {
	pods := map[policy.Key]int{}
	for _, e := range w.snap.Endpoints {
		pods[accountOf(e)]++
	}
	t := p.Table("NAMESPACE", "NAME", "PODS", "LABELS")
	for _, k := range keys {
		var labels string
		if a := w.snap.ServiceAccount(k.Namespace, k.Name); a != nil {
			labels = labelText(a.Labels)
		}
		t.Row(k.Namespace, k.Name, pods[k], labels)
	}
	return t.Print()
}

// few is the first of a list, and how many more there are.
func few(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ",")
	}
	return fmt.Sprintf("%s,+%d", strings.Join(list[:most], ","), len(list)-most)
}
