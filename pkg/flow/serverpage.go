package flow

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

func checkPage(page, size int64) error {
	if page < 0 || size < 0 {
		return status.Error(codes.InvalidArgument, "page and page_size must not be negative")
	}
	return nil
}

func listMetadata(total int, size int64) *flowpb.ListMetadata {
	m := &flowpb.ListMetadata{TotalResults: int64(total), TotalPages: 1}
	if size > 0 {
		m.TotalPages = (int64(total) + size - 1) / size
	}
	return m
}

func pageOf[T any](all []T, page, size int64) []T {
	if size == 0 {
		if page > 0 {
			return nil
		}
		return all
	}
	n := int64(len(all))
	if page > n/size {
		return nil
	}
	return all[page*size : min(n, page*size+size)]
}

// sortWire sorts as asked, the first option first; flows that are alike stay
// in the order of their keys. Time is newest first.
func sortWire(flows []*flowpb.FlowResult, by []*flowpb.SortOption) {
	slices.SortStableFunc(flows, func(x, y *flowpb.FlowResult) int {
		for _, o := range by {
			if c := compareWire(x.GetFlow(), y.GetFlow(), o.GetSortBy()); c != 0 {
				return c
			}
		}
		return 0
	})
}

func compareWire(x, y *flowpb.Flow, by flowpb.SortBy) int {
	a, b := x.GetKey(), y.GetKey()
	switch by {
	case flowpb.SortBy_DestName:
		return strings.Compare(a.GetDestName(), b.GetDestName())
	case flowpb.SortBy_DestNamespace:
		return strings.Compare(a.GetDestNamespace(), b.GetDestNamespace())
	case flowpb.SortBy_DestType:
		return cmp.Compare(a.GetDestType(), b.GetDestType())
	case flowpb.SortBy_SourceName:
		return strings.Compare(a.GetSourceName(), b.GetSourceName())
	case flowpb.SortBy_SourceNamespace:
		return strings.Compare(a.GetSourceNamespace(), b.GetSourceNamespace())
	case flowpb.SortBy_SourceType:
		return cmp.Compare(a.GetSourceType(), b.GetSourceType())
	}
	return cmp.Compare(y.GetLastSeenNanos(), x.GetLastSeenNanos())
}
