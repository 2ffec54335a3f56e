package cmd

import (
	"context"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
)

// confirmReport is the JSON of confirm --list.
type confirmReport struct {
	output.Meta
	Items []confirmItem `json:"items"`
}

type confirmItem struct {
	Kind        string    `json:"kind"`
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Revision    uint64    `json:"revision"`
	ConfirmBy   time.Time `json:"confirmBy"`
	LeftSeconds int64     `json:"leftSeconds"` // 0: its time is over
	// Replaces tells whether there was such a policy before, which comes back.
	Replaces bool `json:"replaces"`
}

func confirmList(ctx context.Context, opts *ConfirmOptions) error {
	w, err := opts.worldTold(ctx)
	if err != nil {
		return err
	}
	report := confirmReport{Meta: output.NewMeta("ConfirmList"), Items: []confirmItem{}}
	p := opts.IO.Printer()
	t := p.Table("NAMESPACE", "NAME", "KIND", "REVISION", "LEFT", "OTHERWISE")
	for _, pol := range w.snap.Policies {
		if pol.Trial == nil || opts.Namespace != "" && pol.Namespace != "" && pol.Namespace != opts.Namespace {
			continue
		}
		otherwise := "it goes"
		if pol.Trial.Previous != nil {
			otherwise = "its former rules come back"
		}
		report.Items = append(report.Items, confirmItem{
			string(pol.Kind), pol.Namespace, pol.Name, pol.Trial.Revision, pol.Trial.By,
			int64(leftOf(pol.Trial, opts.Now()).Seconds()), pol.Trial.Previous != nil,
		})
		t.Row(pol.Namespace, pol.Name, pol.Kind, pol.Trial.Revision, leftText(pol.Trial, opts.Now()), otherwise)
		if opts.Format == output.Name {
			p.Printf("%s\n", resourceName(pol.Key))
		}
	}
	if len(report.Items) == 0 {
		if err := w.unknownNamespace(opts.Namespace); err != nil {
			return err
		}
	}
	switch {
	case opts.Format.Structured():
		return p.Object(opts.Format, report)
	case opts.Format == output.Name:
		return nil
	case len(report.Items) == 0:
		opts.IO.ErrPrinter().Printf("nothing waits to be confirmed%s\n", inNamespace(opts.Namespace))
		return nil
	}
	return t.Print()
}

// leftOf is how long a trial lasts still, by this machine's time of day.
func leftOf(t *policy.Trial, now time.Time) time.Duration {
	return min(max(t.By.Sub(now), 0), t.Within)
}

// leftText is leftOf for people.
func leftText(t *policy.Trial, now time.Time) string {
	left := leftOf(t, now)
	if left == 0 {
		return "over"
	}
	return left.Round(time.Second).String()
}
