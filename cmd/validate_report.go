package cmd

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
)

// validationReport is the JSON of validate.
type validationReport struct {
	output.Meta
	Summary validationSummary `json:"summary"`
	Items   []validationItem  `json:"items"`
	files   []string
}

type validationSummary struct {
	Errors    int `json:"errors"`
	Warnings  int `json:"warnings"`
	Resources int `json:"resources"`
	Files     int `json:"files"`
}

// validationItem is one finding. Line and column are 0 where they are not
// known; a resource without a kind is one that could not be told.
type validationItem struct {
	Severity string             `json:"severity"` // error or warning
	Code     string             `json:"code"`
	File     string             `json:"file"`
	Line     int                `json:"line"`
	Column   int                `json:"column"`
	Resource validationResource `json:"resource"`
	Field    string             `json:"field"`
	Value    string             `json:"value"`
	Reason   string             `json:"reason"`
	Fix      string             `json:"fix"`
	fault    policy.Fault
}

type validationResource struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func newValidationReport(faults policy.Faults, in *toValidate) *validationReport {
	r := &validationReport{Meta: output.NewMeta("ValidationReport"), Items: []validationItem{}, files: in.files}
	r.Summary.Resources, r.Summary.Files = in.resources, len(in.files)
	slices.SortStableFunc(faults, func(a, b policy.Fault) int {
		return cmp.Or(strings.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
	for _, f := range faults {
		it := validationItem{
			Severity: "error", Code: cmp.Or(f.Code, "invalid"), File: f.Origin.File, Line: f.Origin.Line, Column: f.Origin.Column,
			Resource: validationResource{string(f.Key.Kind), f.Key.Namespace, f.Key.Name},
			Field:    f.Field, Value: f.Value, Reason: f.Reason, Fix: f.Fix, fault: f,
		}
		if f.Warning {
			it.Severity = "warning"
			r.Summary.Warnings++
		} else {
			r.Summary.Errors++
		}
		r.Items = append(r.Items, it)
	}
	return r
}
