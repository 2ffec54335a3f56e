package flow

import (
	"slices"
	"strings"
)

// maxDomains is how many DNS names a flow keeps: an address of a content network
// may have hundreds.
const maxDomains = 16

// Domains are DNS names as flows keep them: in lower case, without the dot at the
// end, sorted, each once, the first maxDomains of them.
func Domains(names []string) []string {
	var out []string
	for _, n := range names {
		if n = strings.ToLower(strings.TrimSuffix(n, ".")); n != "" {
			out = append(out, n)
		}
	}
	return joinDomains(nil, out)
}

// joinDomains are the domains of both; those of a are in order.
func joinDomains(a, b []string) []string {
	if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	all := slices.Concat(a, b)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxDomains)]
}

// DestinationText is where a flow goes to as people read it, with the DNS names
// by which it was found.
func (o *Observed) DestinationText() string { return WithDomains(o.Destination.String(), o.Domains) }

// WithDomains is the text of a destination with its DNS names behind it.
func WithDomains(destination string, domains []string) string {
	if len(domains) == 0 {
		return destination
	}
	return destination + " (" + strings.Join(domains, ", ") + ")"
}
