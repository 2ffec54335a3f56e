package policy

import (
	"slices"
	"strings"
	"sync"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// interner shares what many resources have alike. Thousands of pods have the
// same few namespaces, nodes and sets of labels.
type interner struct {
	mu     sync.Mutex
	strs   map[string]string
	labels map[string]selector.Labels
	// selectors are shared by what was written, and by canonical form.
	selectors map[string]*selector.Selector
}

// mostShared bounds the tables; past it they are begun anew, so that a
// cluster's churn over months can't fill memory.
const mostShared = 1 << 16

// str returns a copy of s that holds nothing of the document, shared with
// earlier ones.
func (in *interner) str(s string) string {
	if s == "" {
		return ""
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.strLocked(s)
}

func (in *interner) strLocked(s string) string {
	if c, ok := in.strs[s]; ok {
		return c
	}
	if in.strs == nil || len(in.strs) >= mostShared {
		in.strs = map[string]string{}
	}
	c := strings.Clone(s)
	in.strs[c] = c
	return c
}

// selector parses a selector, or returns an equal one of before: policies
// repeat the same few thousands of times.
func (in *interner) selector(text string) (*selector.Selector, error) {
	in.mu.Lock()
	s := in.selectors[text]
	in.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := selector.Parse(text)
	if err != nil {
		return nil, err
	}
	return in.share(text, s), nil
}

// share returns the selector of before that is equal to s, or s; text is one
// spelling of it.
func (in *interner) share(text string, s *selector.Selector) *selector.Selector {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.selectors == nil || len(in.selectors) >= mostShared {
		in.selectors = map[string]*selector.Selector{}
	}
	canon := s.String()
	if known := in.selectors[canon]; known != nil {
		s = known
	} else {
		in.selectors[canon] = s
	}
	if text != canon {
		in.selectors[strings.Clone(text)] = s
	}
	return s
}

// label is one label on its way into a set.
type label struct{ key, value string }

// set returns the labels as a map, shared with earlier equal ones. Of two
// labels with one key the later wins.
func (in *interner) set(list []label) selector.Labels {
	if len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b label) int { return strings.Compare(a.key, b.key) })
	var room [512]byte
	code := room[:0]
	for _, l := range list {
		// Neither keys nor values of valid labels hold a zero byte; in others
		// the lengths keep codes apart.
		code = append(code, byte(len(l.key)), byte(len(l.key)>>8))
		code = append(code, l.key...)
		code = append(code, byte(len(l.value)), byte(len(l.value)>>8), byte(len(l.value)>>16), byte(len(l.value)>>24))
		code = append(code, l.value...)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if m, ok := in.labels[string(code)]; ok {
		return m
	}
	if in.labels == nil || len(in.labels) >= mostShared {
		in.labels = map[string]selector.Labels{}
	}
	m := make(selector.Labels, len(list))
	for _, l := range list {
		m[in.strLocked(l.key)] = in.strLocked(l.value)
	}
	in.labels[string(code)] = m
	return m
}
