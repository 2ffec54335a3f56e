package flow

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDomainsAreTheFirstInOrderWhateverComesFirst(t *testing.T) {
	var a, b []string
	for i := range 20 {
		name := fmt.Sprintf("n%02d.example.com", i)
		if i%3 == 0 {
			a = append(a, name)
		} else {
			b = append(b, name)
		}
	}
	x, y := Flow{Domains: Domains(a)}, Flow{Domains: Domains(b)}
	x.Add(Flow{Domains: Domains(b)})
	y.Add(Flow{Domains: Domains(a)})
	if d := cmp.Diff(x.Domains, y.Domains); d != "" {
		t.Error(d)
	}
	if len(x.Domains) != 16 || x.Domains[15] != "n15.example.com" {
		t.Error(x.Domains)
	}
}
