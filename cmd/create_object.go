package cmd

import (
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cli/shorthand"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/stage"
)

// object is the policy that the flags describe.
func (o *CreatePolicyOptions) object() (*unstructured.Unstructured, error) {
	kind, err := o.kind()
	if err != nil {
		return nil, err
	}
	spec := map[string]any{"tier": o.Tier}
	if kind.Staged() {
		spec["stagedAction"] = string(policy.StagedSet)
	}
	for _, s := range []struct{ flag, field, text string }{
		{"--selector", "selector", o.Selector}, {"--namespace-selector", "namespaceSelector", o.NamespaceSelector},
	} {
		if s.text == "" {
			continue
		}
		if err := checkSelector(s.flag, s.text); err != nil {
			return nil, err
		}
		spec[s.field] = s.text
	}
	types, err := o.types()
	if err != nil {
		return nil, err
	}
	spec["types"] = types
	for _, d := range []struct {
		dir   policy.Direction
		rules []string
		field string
	}{{policy.Ingress, o.Ingress, "ingress"}, {policy.Egress, o.Egress, "egress"}} {
		var rules []any
		for _, text := range d.rules {
			rule, err := shorthand.Rule(text, d.dir)
			if err != nil {
				return nil, ruleError("--"+d.field, err)
			}
			rules = append(rules, rule)
		}
		if len(rules) > 0 {
			spec[d.field] = rules
		}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetAPIVersion(stage.APIVersion)
	u.SetKind(string(kind))
	u.SetName(o.Name)
	if !o.Global {
		u.SetNamespace(o.Namespace)
	}
	return u, nil
}

// kind is the kind of policy that the flags ask for.
func (o *CreatePolicyOptions) kind() (policy.Kind, error) {
	const try = "netpol create policy " + "NAME --ns NAMESPACE …, or --global"
	switch {
	case o.Global && o.Namespace != "":
		return "", cli.Usage(try, "--global and --ns can't be given together")
	case !o.Global && o.Namespace == "":
		return "", cli.Usage(try, "--ns is missing: which namespace is the policy of?")
	case !o.Global && o.NamespaceSelector != "":
		return "", cli.Usage(try, "--namespace-selector is for --global policies only")
	case o.Global && o.Enforce:
		return policy.KindGlobalNetworkPolicy, nil
	case o.Global:
		return policy.KindStagedGlobalNetworkPolicy, nil
	case o.Enforce:
		return policy.KindNetworkPolicy, nil
	}
	return policy.KindStagedNetworkPolicy, nil
}

// types are the directions: those given, or those that have rules (S3).
func (o *CreatePolicyOptions) types() ([]any, error) {
	if len(o.Types) == 0 {
		switch {
		case len(o.Egress) == 0:
			return []any{"Ingress"}, nil
		case len(o.Ingress) == 0:
			return []any{"Egress"}, nil
		}
		return []any{"Ingress", "Egress"}, nil
	}
	var out []any
	given := map[string]bool{}
	for _, t := range o.Types {
		word := strings.ToLower(strings.TrimSpace(t))
		if word != "ingress" && word != "egress" {
			return nil, cli.Usage("--types ingress,egress", "--types: expected ingress or egress, found %q", t)
		}
		if !given[word] {
			out = append(out, strings.ToUpper(word[:1])+word[1:])
		}
		given[word] = true
	}
	if len(o.Ingress) > 0 && !given["ingress"] || len(o.Egress) > 0 && !given["egress"] {
		return nil, cli.Usage("--types ingress,egress", "--types leaves out a direction that has rules, which would never act")
	}
	return out, nil
}

// checkSelector refuses a bad selector and points at the place.
func checkSelector(flag, text string) error {
	_, err := selector.Parse(text)
	var wrong *selector.Error
	if errors.As(err, &wrong) {
		return &cli.Error{
			What:  fmt.Sprintf("%s: %s", flag, wrong.Error()),
			Where: []string{text, strings.Repeat(" ", max(0, wrong.Column-1)) + "^"},
			Try:   "netpol create policy --help", Err: err,
		}
	}
	if err != nil {
		return &cli.Error{What: fmt.Sprintf("%s: %v", flag, err), Err: err}
	}
	return nil
}

// ruleError points at the place in a rule.
func ruleError(flag string, err error) error {
	var wrong *shorthand.Error
	if errors.As(err, &wrong) {
		return &cli.Error{What: fmt.Sprintf("%s: %s", flag, wrong.Error()), Where: wrong.Pointer(), Try: "netpol create policy --help", Err: err}
	}
	return err
}
