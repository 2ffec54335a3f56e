package cmd

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/rights"
)

// accessReport is the command's JSON.
type accessReport struct {
	output.Meta
	User    string        `json:"user"`
	Action  accessAction  `json:"action"`
	Allowed bool          `json:"allowed"`
	Rights  []accessRight `json:"rights"`
	// Grant are the manifests that give the user what is missing.
	Grant []map[string]any `json:"grant,omitempty"`
}

type accessAction struct {
	Verb      string `json:"verb"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Tier      string `json:"tier,omitempty"`
	From      string `json:"from,omitempty"`
}

type accessRight struct {
	rights.Right
	Allowed bool `json:"allowed"`
	// Optional: the action goes on without it; Without says what is missing then.
	Optional bool   `json:"optional,omitempty"`
	Without  string `json:"without,omitempty"`
}

// judge finds what is missing: of every need one right will do. What the action
// goes on without is no reason to say no.
func (o *AuthCanIOptions) judge(user rights.User, needs []rights.Need, wants []rights.Want, allowed func(rights.Right) bool) (*accessReport, []rights.Right) {
	a := o.Action
	report := &accessReport{
		Meta: output.NewMeta("AccessReview"), User: user.Name, Rights: []accessRight{},
		Action: accessAction{a.Verb, rights.Resource(a.Kind), a.Namespace, a.Name, a.Tier, a.From},
	}
	var missing []rights.Right
	for _, need := range needs {
		has := slices.IndexFunc(need, allowed)
		if has < 0 {
			missing = append(missing, need[0])
		}
		report.Rights = append(report.Rights, accessRight{Right: need[max(has, 0)], Allowed: has >= 0})
	}
	report.Allowed = len(missing) == 0
	grant := slices.Clone(missing)
	for _, w := range wants {
		report.Rights = append(report.Rights, accessRight{w.Right, allowed(w.Right), true, w.Without})
		if !allowed(w.Right) {
			grant = append(grant, w.Right)
		}
	}
	report.Grant = rights.Grant(a, user, grant)
	return report, missing
}

// print writes yes, or no in a form that kubectl apply takes as it is.
func (o *AuthCanIOptions) print(p *output.Printer, report *accessReport, missing []rights.Right) error {
	e := o.IO.ErrPrinter()
	for _, r := range report.Rights {
		if r.Optional && !r.Allowed {
			e.Printf("note: without a right to %s, %s\n", r.Right, r.Without)
		}
	}
	if report.Allowed {
		p.Printf("yes\n")
		return nil
	}
	p.Printf("# no: %s has no right to\n", report.User)
	for _, r := range missing {
		p.Printf("#   %s\n", r)
	}
	p.Printf("# An administrator can grant that with: kubectl apply -f -\n")
	for i, object := range report.Grant {
		if i > 0 {
			p.Printf("---\n")
		}
		if err := p.Object(output.YAML, object); err != nil {
			return fmt.Errorf("role: %w", err)
		}
	}
	return nil
}
