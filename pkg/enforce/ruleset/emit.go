package ruleset

import (
	"cmp"
	"slices"
)

// maxKinds is how many kinds of decision one level may have before a verdict
// map takes the place of a set for each. Sets are preferred: an element with a
// goto makes the kernel walk every chain that can be reached again (measured:
// 10 ms with 50 profiles), a plain one does not, so that a new pod costs
// microseconds.
const maxKinds = 8

// output is what a table gives to the ruleset.
type output struct {
	chain     *Chain
	entry     *Chain // leads to variants or to chain; nil without variants
	sets      []*Set
	long      []*Set     // those that profiles share
	decisions []decision // those that elements or rules name
	spans     []span
}

// emit writes the table's chain and sets, sharing what did not change. sources,
// if not nil, leads to the variants.
func (t *table) emit(a *asker, p *profile, sources *Set) {
	if !t.dirty && t.out.chain != nil && sameSet(t.sources, sources) {
		return
	}
	t.sources = sources
	old := make(map[string]*Set, len(t.out.sets))
	for _, s := range t.out.sets {
		old[s.Name] = s
	}
	w := writer{table: t, profile: p, decisions: a.decisions, old: old}
	w.peer = t.fam.saddr
	if p.outward() {
		w.peer = t.fam.daddr
	}
	for _, list := range byLevel(t.buckets) {
		w.level(list)
	}
	w.last(a)

	slices.Sort(w.used)
	chain, entry := &Chain{Name: t.chainName(p), Rules: w.rules, Comment: p.comment}, t.enter(p, &w)
	if entry != nil {
		chain.Name = p.sourceName(0) + "-v" + t.fam.suffix
	}
	t.out = output{chain: keepChain(t.out.chain, chain), entry: keepChain(t.out.entry, entry), sets: w.sets, long: w.long, decisions: slices.Compact(w.used), spans: w.spans}
	t.dirty = false
}

// enter is the chain before the table's own that leads to the variants, which
// end in the table's own.
func (t *table) enter(p *profile, w *writer) *Chain {
	if t.sources == nil {
		return nil
	}
	w.keep(t.sources)
	return &Chain{Name: t.chainName(p), Comment: p.comment, Rules: []Rule{
		{VMap: &VMap{Fields: t.sources.Fields, Map: t.sources.Name}},
		rule(to(p.sourceName(0) + "-v" + t.fam.suffix)),
	}}
}

// last writes what holds for all that no element decides.
func (w *writer) last(a *asker) {
	if first := w.table.first; !w.table.whole() {
		w.rules = append(w.rules, rule(to(w.profile.sourceName(0)+"-v"+first.fam.suffix)))
		return
	}
	rest := a.answers.get(w.table.back).rest
	w.use(rest)
	w.rules = append(w.rules, Rule{Verdict: a.decisions.verdict(rest)})
}

// base is what the names of the table's chain and sets begin with.
func (t *table) base(p *profile) string {
	if t.first != nil {
		return p.sourceName(t.class)
	}
	return p.name
}

func (t *table) chainName(p *profile) string { return t.base(p) + "-v" + t.fam.suffix }

// byLevel groups buckets by stage, level and place, in the order of look-ups;
// within a level they are sorted by decision.
func byLevel(buckets map[bucket][]Element) [][]bucket {
	keys := make([]bucket, 0, len(buckets))
	for b := range buckets {
		keys = append(keys, b)
	}
	slices.SortFunc(keys, func(a, b bucket) int {
		return cmp.Or(cmp.Compare(a.stage, b.stage), cmp.Compare(a.level, b.level), cmp.Compare(a.place, b.place), cmp.Compare(a.dec, b.dec),
			cmp.Compare(a.proto, b.proto), cmp.Compare(a.lo, b.lo), cmp.Compare(a.hi, b.hi))
	})
	var out [][]bucket
	for i, b := range keys {
		if i == 0 || keys[i-1].stage != b.stage || keys[i-1].level != b.level || keys[i-1].place != b.place {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], b)
	}
	return out
}

// writer writes one chain.
type writer struct {
	table     *table
	profile   *profile
	decisions *decisions
	peer      Field
	old       map[string]*Set
	rules     []Rule
	sets      []*Set
	long      []*Set
	used      []decision
	spans     []span
}

func (w *writer) use(d decision) {
	if d != allowed {
		w.used = append(w.used, d)
	}
}

// level writes the look-ups of one stage and level.
func (w *writer) level(list []bucket) {
	for _, b := range list {
		w.use(b.dec)
	}
	if len(list) > maxKinds {
		w.verdictMap(list)
		return
	}
	for _, b := range list {
		name := w.name(&b)
		matches := w.guard(&b)
		if b.ranged() {
			s := b.span()
			name += "-" + s.text(b.proto)
			matches = append(matches, s.matches(b.proto)...)
			w.spans = append(w.spans, s)
		}
		if b.dec != allowed {
			name += "-" + w.decisions.verdict(b.dec).Chain
		}
		fields := b.fields(w.peer)
		if long := w.table.long[b]; long != "" {
			name = long
			// Named by source, whichever side looks into it.
			w.long = append(w.long, &Set{Name: name, Fields: b.fields(w.table.fam.saddr), Interval: true, Elements: w.table.buckets[b], Comment: "networks that several profiles may share"})
		} else {
			w.keep(&Set{Name: name, Fields: fields, Interval: b.interval(), Elements: w.table.buckets[b], Comment: w.comment(fields)})
		}
		w.rules = append(w.rules, Rule{
			Matches: append(matches, in(name, fields...)),
			Verdict: w.decisions.verdict(b.dec),
		})
	}
}

func (w *writer) name(b *bucket) string {
	return w.table.base(w.profile) + "-" + b.word() + w.table.fam.suffix
}

// comment explains numbers that nft shows as ports and that are none.
func (w *writer) comment(fields []Field) string {
	if fields[len(fields)-1] == SPort {
		return typesComment
	}
	return ""
}

// guard is the family check that a look-up by address needs.
func (w *writer) guard(b *bucket) []Match {
	if b.stage == stageRest {
		return nil
	}
	return []Match{w.table.fam.is()}
}

// verdictMap puts all buckets of a level into one map.
func (w *writer) verdictMap(list []bucket) {
	first := &list[0]
	var all []Element
	for _, b := range list {
		v := w.decisions.verdict(b.dec)
		for _, e := range w.table.buckets[b] {
			if e.Verdict = v; b.ranged() {
				e.KeyEnd = e.Key + string(packPort(nil, b.proto, b.hi))
				e.Key += string(packPort(nil, b.proto, b.lo))
			}
			all = append(all, e)
		}
	}
	slices.SortFunc(all, compareElements)
	name, fields, boxes := w.name(first)+"-map", first.fields(w.peer), first.interval()
	if first.ranged() {
		fields, boxes = append(fields, L4Proto, first.place), true
	}
	w.keep(&Set{Name: name, Fields: fields, Interval: boxes, Map: true, Elements: all, Comment: w.comment(fields)})
	w.rules = append(w.rules, Rule{Matches: w.guard(first), VMap: &VMap{Fields: fields, Map: name}})
}

// keep adds a set, the one of last time if it is the same.
func (w *writer) keep(s *Set) { w.sets = append(w.sets, keepSet(w.old[s.Name], s)) }
