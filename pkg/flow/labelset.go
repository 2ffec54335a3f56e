package flow

import "github.com/netpol-project/netpol/pkg/policy"

// labelSet are the labels shared by all endpoints that took part.
type labelSet struct {
	seen    *policy.Endpoint // the last one, so that the same pod costs nothing
	common  map[string]string
	changes int
}

func (l *labelSet) add(ep *policy.Endpoint) {
	if ep == nil || ep == l.seen {
		return
	}
	first := l.seen == nil
	l.seen = ep
	if first {
		l.common = ep.Labels
		l.changes++
		return
	}
	l.narrow(ep.Labels)
}

// share adds endpoints that share these labels. No labels at all may as well
// mean that nobody has looked.
func (l *labelSet) share(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	if l.seen == nil {
		l.seen, l.common = &policy.Endpoint{}, labels
		l.changes++
		return
	}
	l.narrow(labels)
}

// narrow leaves those labels that are among others too.
func (l *labelSet) narrow(others map[string]string) {
	for k, v := range l.common {
		if got, ok := others[k]; !ok || got != v {
			l.common = intersect(l.common, others)
			l.changes++
			return
		}
	}
}

func intersect(a, b map[string]string) map[string]string {
	out := make(map[string]string, len(a))
	for k, v := range a {
		if got, ok := b[k]; ok && got == v {
			out[k] = v
		}
	}
	return out
}

func (l *labelSet) kept() map[string]string {
	if l.seen != nil && l.common == nil {
		return map[string]string{}
	}
	return l.common
}

// join adds all endpoints of another set.
func (l *labelSet) join(other *labelSet) {
	switch {
	case other.seen == nil:
	case l.seen == nil:
		l.seen, l.common = other.seen, other.common
		l.changes++
	default:
		l.narrow(other.common)
	}
}
