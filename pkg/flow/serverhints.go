package flow

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// FilterHints implements flowpb.FlowsServer.
func (s *server) FilterHints(ctx context.Context, r *flowpb.FilterHintsRequest) (*flowpb.FilterHintsResult, error) {
	if err := checkPage(r.GetPage(), r.GetPageSize()); err != nil {
		return nil, err
	}
	values, err := hintValues(r.GetType())
	if err != nil {
		return nil, err
	}
	view, err := s.view.View(ctx, nil)
	if err != nil {
		return nil, err
	}
	done, err := view.Turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	now := s.now()
	records, _, err := s.visible(Filter{
		Since: moment(0, r.GetStartTimeGte(), now),
		Until: moment(0, r.GetStartTimeLt(), now),
	}, now, view)
	if err != nil {
		return nil, err
	}
	var found []string
	for _, rec := range records {
		if key := KeyToWire(rec.Key); matchWire(r.GetFilter(), key) {
			found = append(found, values(key)...)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	result := &flowpb.FilterHintsResult{Meta: listMetadata(len(found), r.GetPageSize())}
	for _, v := range pageOf(found, r.GetPage(), r.GetPageSize()) {
		result.Hints = append(result.Hints, &flowpb.FilterHint{Value: v})
	}
	return result, nil
}

// hintValues is how the values of one kind of hint are read from a flow.
func hintValues(t flowpb.FilterType) (func(*flowpb.FlowKey) []string, error) {
	one := func(get func(*flowpb.FlowKey) string) func(*flowpb.FlowKey) []string {
		return func(k *flowpb.FlowKey) []string { return []string{get(k)} }
	}
	hits := func(get func(*flowpb.PolicyHit) string) func(*flowpb.FlowKey) []string {
		return func(k *flowpb.FlowKey) (out []string) {
			for _, h := range allHits(k) {
				if v := get(h); v != "" {
					out = append(out, v)
				}
			}
			return out
		}
	}
	switch t {
	case flowpb.FilterType_FilterTypeDestName:
		return one((*flowpb.FlowKey).GetDestName), nil
	case flowpb.FilterType_FilterTypeSourceName:
		return one((*flowpb.FlowKey).GetSourceName), nil
	case flowpb.FilterType_FilterTypeDestNamespace:
		return one((*flowpb.FlowKey).GetDestNamespace), nil
	case flowpb.FilterType_FilterTypeSourceNamespace:
		return one((*flowpb.FlowKey).GetSourceNamespace), nil
	case flowpb.FilterType_FilterTypePolicyTier:
		return hits((*flowpb.PolicyHit).GetTier), nil
	case flowpb.FilterType_FilterTypePolicyName:
		return hits((*flowpb.PolicyHit).GetName), nil
	}
	return nil, status.Error(codes.InvalidArgument, "the request does not say what hints it wants")
}
