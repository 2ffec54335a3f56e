package cli

import (
	"errors"
	"testing"

	"github.com/netpol-project/netpol/internal/cluster/reach"
	"github.com/netpol-project/netpol/internal/cluster/review"
)

// Whatever keeps users from the flows server, they are told what to do next.
func TestErrorsOfTheFlowsServerSayWhatNext(t *testing.T) {
	for about, err := range map[string]error{
		"no step":   errors.New("no route to host"),
		"a step":    &reach.Error{Step: reach.StepToken, Err: errors.New("EOF")},
		"not ready": &reach.Error{Err: &review.NoServerError{Pods: 1}},
		"no server": &reach.Error{Err: &review.NoServerError{}},
	} {
		var told *Error
		if !errors.As(hubError(err), &told) || told.What == "" || told.Try == "" {
			t.Errorf("%s: %+v", about, told)
		}
	}
}
