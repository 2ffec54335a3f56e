// Package relay is what agents and the flows server of their cluster tell each
// other, between its wire form and package flow. What comes off the wire is
// checked: nothing that it says makes a number overflow or a name without end.
package relay

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What a message may hold. A name of Kubernetes has at most 253 characters, and
// an hour of fine buckets and 15 days of coarse ones are 600 spans.
const (
	maxName   = 253
	maxLabel  = 2*maxName + 64
	maxLabels = 256
	maxHits   = 64
	maxSpans  = 1000
	maxCount  = 1 << 50
	// MaxGains is how many gains a batch may have.
	MaxGains = 1000
	// MaxMissing is how many hours a batch may tell of.
	MaxMissing = 1000
	// MaxMessage bounds a message, in bytes.
	MaxMessage = 4 << 20
)

// GainToWire is a gain as relay.proto has it.
func GainToWire(g *flow.Gain) *relaypb.Gain {
	w := &relaypb.Gain{
		Key: flow.KeyToWire(g.Key), Live: g.Live, FirstNanos: g.First, LastNanos: g.Last,
		SourceLabels: flow.LabelsToWire(g.SourceLabels), DestLabels: flow.LabelsToWire(g.DestinationLabels),
		Spans: make([]*relaypb.Span, len(g.Spans)),
	}
	for _, r := range g.Refused {
		w.Refused = append(w.Refused, &flowpb.RefusedPod{Name: r.Pod, LastNanos: r.Last})
	}
	for i := range g.Spans {
		s := &g.Spans[i]
		w.Spans[i] = &relaypb.Span{
			StartNanos: s.Start, Coarse: s.Coarse, FirstNanos: s.First, LastNanos: s.Last, Started: s.Started, Completed: s.Completed,
			PacketsIn: s.PacketsIn, PacketsOut: s.PacketsOut, BytesIn: s.BytesIn, BytesOut: s.BytesOut,
		}
	}
	return w
}

// GainFromWire reads a gain.
func GainFromWire(w *relaypb.Gain) (flow.Gain, error) {
	if err := checkKey(w.GetKey()); err != nil {
		return flow.Gain{}, err
	}
	if len(w.GetSpans()) > maxSpans {
		return flow.Gain{}, fmt.Errorf("%d spans, more than %d", len(w.GetSpans()), maxSpans)
	}
	if n := w.GetLive(); n > maxCount || n < -maxCount || w.GetFirstNanos() < 0 || w.GetLastNanos() < 0 {
		return flow.Gain{}, errors.New("a count or a time is out of bounds")
	}
	for _, labels := range [][]string{w.GetSourceLabels(), w.GetDestLabels()} {
		if err := checkTexts(labels, maxLabels, maxLabel); err != nil {
			return flow.Gain{}, err
		}
	}
	g := flow.Gain{
		Key: flow.KeyFromWire(w.GetKey()), Live: w.GetLive(), First: w.GetFirstNanos(), Last: w.GetLastNanos(),
		SourceLabels: flow.LabelsFromWire(w.GetSourceLabels()), DestinationLabels: flow.LabelsFromWire(w.GetDestLabels()),
		Spans: make([]flow.Span, 0, len(w.GetSpans())),
	}
	if len(w.GetRefused()) > flow.MaxRefused {
		return flow.Gain{}, fmt.Errorf("%d refused pods, more than %d", len(w.GetRefused()), flow.MaxRefused)
	}
	for _, r := range w.GetRefused() {
		if err := checkTexts([]string{r.GetName()}, 1, maxName); err != nil || r.GetLastNanos() < 0 {
			return flow.Gain{}, errors.New("a refused pod is out of bounds")
		}
		g.Refused = append(g.Refused, flow.Refusal{Pod: r.GetName(), Last: r.GetLastNanos()})
	}
	for _, s := range w.GetSpans() {
		span, err := spanFromWire(s)
		if err != nil {
			return flow.Gain{}, err
		}
		g.Spans = append(g.Spans, span)
	}
	return g, nil
}

func spanFromWire(w *relaypb.Span) (flow.Span, error) {
	s := flow.Span{
		Start: w.GetStartNanos(), Coarse: w.GetCoarse(), First: w.GetFirstNanos(), Last: w.GetLastNanos(),
		Started: w.GetStarted(), Completed: w.GetCompleted(),
		Counters: flow.Counters{
			PacketsIn: w.GetPacketsIn(), PacketsOut: w.GetPacketsOut(), BytesIn: w.GetBytesIn(), BytesOut: w.GetBytesOut(),
		},
	}
	for _, n := range []int64{s.Started, s.Completed, s.PacketsIn, s.PacketsOut, s.BytesIn, s.BytesOut} {
		if n < 0 || n > maxCount {
			return s, fmt.Errorf("%d is no count", n)
		}
	}
	width := int64(15 * time.Second)
	if s.Coarse {
		width = int64(time.Hour)
	}
	if s.Start < 0 || s.Start%width != 0 {
		return s, fmt.Errorf("no span starts at %d", s.Start)
	}
	if none := s.First == 0 && s.Last == 0; !none && (s.First < s.Start || s.Last < s.First || s.Last-s.Start >= width) {
		return s, fmt.Errorf("attempts from %d to %d are not in the span at %d", s.First, s.Last, s.Start)
	}
	return s, nil
}

func checkKey(k *flowpb.FlowKey) error {
	if k == nil {
		return errors.New("no key")
	}
	if k.GetDestPort() < 0 || k.GetDestPort() > 65535 {
		return fmt.Errorf("%d is no port", k.GetDestPort())
	}
	if _, ok := flow.ParseProtocol(k.GetProto()); !ok {
		return fmt.Errorf("%.20q is no protocol", k.GetProto())
	}
	names := []string{
		k.GetSourceName(), k.GetSourceNamespace(), k.GetSourceWorkloadKind(), k.GetSourceAddress(),
		k.GetDestName(), k.GetDestNamespace(), k.GetDestWorkloadKind(), k.GetDestAddress(),
		k.GetDestServiceName(), k.GetDestServiceNamespace(), k.GetDestServicePortName(),
	}
	if err := checkTexts(names, len(names), maxName); err != nil {
		return err
	}
	for _, trace := range [][]*flowpb.PolicyHit{k.GetPolicies().GetEnforcedPolicies(), k.GetPolicies().GetPendingPolicies()} {
		if len(trace) > maxHits {
			return fmt.Errorf("a trace of %d policies", len(trace))
		}
		for _, h := range trace {
			for _, h := range []*flowpb.PolicyHit{h, h.GetTrigger()} {
				if err := checkTexts([]string{h.GetName(), h.GetNamespace(), h.GetTier()}, 3, maxName+len("kns.")); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func checkTexts(texts []string, most, longest int) error {
	if len(texts) > most {
		return fmt.Errorf("%d labels", len(texts))
	}
	for _, t := range texts {
		if len(t) > longest {
			return fmt.Errorf("%.20q… is too long", t)
		}
	}
	return nil
}

// MissingToWire is what is missing as relay.proto has it.
func MissingToWire(missing []flow.Missing) []*relaypb.Missing {
	out := make([]*relaypb.Missing, len(missing))
	for i, m := range missing {
		out[i] = &relaypb.Missing{HourNanos: m.Hour, Lost: m.Lost, Unknown: m.Unknown, Evicted: m.Evicted}
	}
	return out
}

// MissingFromWire reads what is missing.
func MissingFromWire(w *relaypb.Missing) (flow.Missing, error) {
	m := flow.Missing{Hour: w.GetHourNanos(), Lost: w.GetLost(), Unknown: w.GetUnknown(), Evicted: w.GetEvicted()}
	if m.Hour < 0 || m.Lost < 0 || m.Lost > maxCount || m.Evicted < 0 || m.Evicted > maxCount {
		return m, errors.New("a count or a time is out of bounds")
	}
	return m, nil
}

// BatchFromWire reads a batch. What of it is not as it should be is left out:
// faults says why, and the connections that it told of are missing.
func BatchFromWire(w *relaypb.Batch) (gains []flow.Gain, missing []flow.Missing, faults []error) {
	if len(w.GetGains()) > MaxGains || len(w.GetMissing()) > MaxMissing {
		faults = append(faults, fmt.Errorf("a batch of %d flows and %d hours is too large", len(w.GetGains()), len(w.GetMissing())))
	}
	for _, g := range w.GetGains()[:min(len(w.GetGains()), MaxGains)] {
		if gain, err := GainFromWire(g); err != nil {
			faults = append(faults, err)
		} else {
			gains = append(gains, gain)
		}
	}
	for _, m := range w.GetMissing()[:min(len(w.GetMissing()), MaxMissing)] {
		if lack, err := MissingFromWire(m); err != nil {
			faults = append(faults, err)
		} else {
			missing = append(missing, lack)
		}
	}
	return gains, missing, faults
}

// maxGaps bounds the gaps that a message may tell of.
const maxGaps = 1000

// MaxStaged is how many staged policies fit into a message.
const MaxStaged = 1000

// StagedToWire is what is known of staged policies, in messages that are not too
// large.
func StagedToWire(list []flow.StagedSpec) []*relaypb.Staged {
	var out []*relaypb.Staged
	for part := range slices.Chunk(list, MaxStaged) {
		w := &relaypb.Staged{}
		for _, s := range part {
			w.Policies = append(w.Policies, &relaypb.StagedPolicy{
				Kind: string(s.Key.Kind), Namespace: s.Key.Namespace, Name: s.Key.Name, Spec: s.Spec, SinceNanos: s.Since,
			})
		}
		out = append(out, w)
	}
	return out
}

// StagedFromWire reads what is known of staged policies; what is not as it should
// be is left out.
func StagedFromWire(w *relaypb.Staged) []flow.StagedSpec {
	var out []flow.StagedSpec
	for _, p := range w.GetPolicies()[:min(len(w.GetPolicies()), MaxStaged)] {
		key := policy.Key{Kind: policy.Kind(p.GetKind()), Namespace: p.GetNamespace(), Name: p.GetName()}
		if checkTexts([]string{key.Namespace, key.Name, p.GetSpec()}, 3, maxName) == nil && key.Kind.Staged() && p.GetSinceNanos() > 0 {
			out = append(out, flow.StagedSpec{Key: key, Spec: p.GetSpec(), Since: p.GetSinceNanos()})
		}
	}
	return out
}

// GapsFromWire reads an agent's gaps, as far as they can be.
func GapsFromWire(w []*flowpb.Gap) []flow.Gap {
	w = w[:min(len(w), maxGaps)]
	return slices.DeleteFunc(flow.GapsFromWire(w), func(g flow.Gap) bool { return g.From.IsZero() || !g.From.Before(g.To) })
}
