package tier

import (
	"maps"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// labels is what an entity looks at beside an endpoint's own labels.
type labels struct {
	namespaces map[string]selector.Labels
	accounts   map[accountName]selector.Labels
	// services that rules name; one that does not exist is nil.
	services map[policy.ServiceRef]*policy.Service
}

type accountName struct{ namespace, name string }

// labelsOf reads a snapshot, taking over what is the same from before.
func labelsOf(s *policy.Snapshot, prev *policy.Snapshot, old labels) labels {
	l := old
	if prev == nil || !slices.Equal(prev.Namespaces, s.Namespaces) {
		l.namespaces = make(map[string]selector.Labels, len(s.Namespaces))
		for _, ns := range s.Namespaces {
			l.namespaces[ns.Name] = ns.Labels
		}
	}
	if prev == nil || !slices.Equal(prev.ServiceAccounts, s.ServiceAccounts) {
		l.accounts = make(map[accountName]selector.Labels, len(s.ServiceAccounts))
		for _, a := range s.ServiceAccounts {
			l.accounts[accountName{a.Namespace, a.Name}] = a.Labels
		}
	}
	if prev == nil || !slices.Equal(prev.Services, s.Services) {
		l.services = make(map[policy.ServiceRef]*policy.Service, len(old.services))
		for ref := range old.services {
			l.services[ref] = s.Service(ref.Namespace, ref.Name)
		}
	}
	return l
}

// account is the labels of a service account. One that is not written down
// has its name only, as every account does.
func (l *labels) account(namespace, name string) selector.Labels {
	if own, ok := l.accounts[accountName{namespace, name}]; ok {
		return own
	}
	return selector.Labels{policy.LabelName: name}
}

// with is l with the service that an entity names, if it names one.
func (l labels) with(e *entity, s *policy.Snapshot) labels {
	if e.service.Name == "" {
		return l
	}
	if _, ok := l.services[e.service]; ok {
		return l
	}
	// A copy: an older model has the map too.
	services := make(map[policy.ServiceRef]*policy.Service, len(l.services)+1)
	maps.Copy(services, l.services)
	services[e.service] = s.Service(e.service.Namespace, e.service.Name)
	l.services = services
	return l
}

// sameNames says whether selectors of namespaces and service accounts match as
// they did with the other labels.
func (l *labels) sameNames(o *labels) bool {
	same := func(a, b selector.Labels) bool { return maps.Equal(a, b) }
	return maps.EqualFunc(l.namespaces, o.namespaces, same) && maps.EqualFunc(l.accounts, o.accounts, same)
}
