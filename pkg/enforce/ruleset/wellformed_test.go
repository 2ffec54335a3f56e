package ruleset

import (
	"fmt"
	"slices"
)

// wellFormed holds what the kernel and package nft take for granted.
func wellFormed(r *Ruleset) error {
	chains, sets := map[string]bool{}, map[string]*Set{}
	for _, c := range r.Chains {
		if chains[c.Name] {
			return fmt.Errorf("two chains %s", c.Name)
		}
		chains[c.Name] = true
	}
	for i, s := range r.Sets {
		if sets[s.Name] != nil {
			return fmt.Errorf("two sets %s", s.Name)
		}
		if i > 0 && r.Sets[i-1].Name > s.Name {
			return fmt.Errorf("set %s is out of order", s.Name)
		}
		sets[s.Name] = s
		if err := wellFormedSet(s, chains); err != nil {
			return err
		}
	}
	for _, c := range r.Chains {
		for i := range c.Rules {
			if err := wellFormedRule(&c.Rules[i], chains, sets); err != nil {
				return fmt.Errorf("chain %s rule %d: %w", c.Name, i, err)
			}
		}
	}
	return withoutLoops(r, sets)
}

// withoutLoops: the kernel refuses chains that lead back to themselves.
func withoutLoops(r *Ruleset, sets map[string]*Set) error {
	leads := map[string][]string{}
	for _, c := range r.Chains {
		for _, rule := range c.Rules {
			leads[c.Name] = append(leads[c.Name], rule.Verdict.Chain)
			if rule.VMap != nil {
				for _, e := range sets[rule.VMap.Map].Elements {
					leads[c.Name] = append(leads[c.Name], e.Verdict.Chain)
				}
			}
		}
	}
	const open, done = 1, 2
	state := map[string]int{}
	var walk func(string) error
	walk = func(name string) error {
		switch state[name] {
		case open:
			return fmt.Errorf("chain %s leads to itself", name)
		case done:
			return nil
		}
		state[name] = open
		for _, next := range leads[name] {
			if err := walk(next); err != nil {
				return err
			}
		}
		state[name] = done
		return nil
	}
	for _, c := range r.Chains {
		if err := walk(c.Name); err != nil {
			return err
		}
	}
	return nil
}

func wellFormedSet(s *Set, chains map[string]bool) error {
	width := 0
	for _, f := range s.Fields {
		width += padded(f)
	}
	for i, e := range s.Elements {
		switch {
		case len(e.Key) != width || s.Interval != (len(e.KeyEnd) == width):
			return fmt.Errorf("set %s: element %d has a key of the wrong size", s.Name, i)
		case i > 0 && s.Elements[i-1].Key > e.Key || i > 0 && !s.Interval && s.Elements[i-1].Key == e.Key:
			return fmt.Errorf("set %s: element %d out of order", s.Name, i)
		case !s.Map && e.Verdict != Verdict{}:
			return fmt.Errorf("set %s: element %d has a verdict", s.Name, i)
		case s.Map && e.Verdict.Chain != "" && !chains[e.Verdict.Chain]:
			return fmt.Errorf("set %s: element %d leads to no chain", s.Name, i)
		}
		if s.Interval && len(s.Elements) < 500 {
			for _, o := range s.Elements[:i] {
				if overlap(s.Fields, &o, &e) {
					return fmt.Errorf("set %s: element %d overlaps", s.Name, i)
				}
			}
		}
	}
	return nil
}

func overlap(fields []Field, a, b *Element) bool {
	at := 0
	for _, f := range fields {
		end := at + padded(f)
		if a.Key[at:end] > b.KeyEnd[at:end] || b.Key[at:end] > a.KeyEnd[at:end] {
			return false
		}
		at = end
	}
	return true
}

func wellFormedRule(r *Rule, chains map[string]bool, sets map[string]*Set) error {
	if r.Verdict.Chain != "" && !chains[r.Verdict.Chain] {
		return fmt.Errorf("no chain %s", r.Verdict.Chain)
	}
	known := map[string]bool{}
	needs := func(fields []Field) error {
		for _, f := range fields {
			want := ""
			switch f {
			case SAddr4, DAddr4:
				want = "family2"
			case SAddr6, DAddr6, HopLimit:
				want = "family10"
			case TCPFlags:
				want = "proto6"
			case ICMPv6Type:
				want = "proto58"
			}
			if want != "" && !known[want] {
				return fmt.Errorf("%s without %s before it", fieldNames[f], want)
			}
			if (f == DPort || f == SPort) && !slices.Contains(fields, L4Proto) && !known["proto"] {
				return fmt.Errorf("a port without its protocol")
			}
		}
		return nil
	}
	for _, m := range r.Matches {
		if err := needs(m.Fields); err != nil {
			return err
		}
		if m.Set != "" {
			if s := sets[m.Set]; s == nil || s.Map || !slices.EqualFunc(s.Fields, m.Fields, sameType) {
				return fmt.Errorf("no such set: %s", m.Set)
			}
			continue
		}
		switch m.Fields[0] {
		case NFProto:
			if known["family2"] || known["family10"] {
				return fmt.Errorf("one rule of two families")
			}
			known[fmt.Sprintf("family%d", m.Value[0])] = true
			if known["family2"] && known["family10"] {
				return fmt.Errorf("a rule for packets of both families")
			}
		case L4Proto:
			known[fmt.Sprintf("proto%d", m.Value[0])], known["proto"] = true, true
		}
	}
	if r.VMap == nil {
		return nil
	}
	if s := sets[r.VMap.Map]; s == nil || !s.Map || concat(s.Fields, fieldTypes[:]) != concat(r.VMap.Fields, fieldTypes[:]) {
		return fmt.Errorf("no such map: %s", r.VMap.Map)
	}
	return needs(r.VMap.Fields)
}
