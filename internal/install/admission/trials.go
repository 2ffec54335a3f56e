package admission

import model "github.com/netpol-project/netpol/pkg/policy"

// agent is who writes back what nobody confirmed in time.
const agent = "system:serviceaccount:netpol-system:netpol-agent"

// trialNotes are the annotations that a policy has while it is on trial, and
// changedNotes those that taking it back changes.
var (
	trialNotes   = []string{model.NoteConfirmBy, model.NoteConfirmWithin, model.NotePrevious}
	changedNotes = []string{model.NoteRevision, model.NoteReverted, model.NoteRevertedBy}
)

// enforcedResources are the policies of v3 that can be on trial; those of
// Kubernetes can, too.
func enforcedResources() []string { return []string{"networkpolicies", "globalnetworkpolicies"} }

// formatted is a spec as package stage writes it into an annotation: there is no
// reader of JSON here, but a writer that is the same everywhere.
func formatted(object string) string { return "'%s'.format([" + object + ".?spec.orValue({})])" }

func note(object, name string) string {
	return object + ".metadata.?annotations[?" + quote(name) + "].orValue('')"
}

func sameTier() string {
	return "object.?spec.?tier.orValue('default') == oldObject.?spec.?tier.orValue('default')"
}

// trials holds everybody to the truth about what was before: a trial ends with
// what the policy was when it began, and nobody can have anything else put in
// force, or a policy deleted, by way of it.
func trials() policy {
	p := policy{
		name:       "netpol-trials",
		resources:  enforcedResources(),
		kubernetes: []string{"networkpolicies"},
		operations: []string{"CREATE", "UPDATE"},
		conditions: []condition{{Name: "on-trial", Expression: "object.metadata.?annotations[?" + quote(model.NotePrevious) + "].hasValue()"}},
		action:     "Deny",
	}
	p.let("previous", note("object", model.NotePrevious))
	p.let("carried", "oldObject == null ? '' : "+note("oldObject", model.NotePrevious))
	p.rules = append(p.rules,
		validation{
			Expression: "variables.previous == 'null' ? (oldObject == null || variables.carried == 'null') : " +
				"(oldObject != null && (variables.previous == variables.carried || variables.previous == " + formatted("oldObject") + "))",
			Message: "annotation " + model.NotePrevious + " must be the spec that the policy has until now, as netpol enforce --confirm-within writes it, or null for a new policy",
			Reason:  invalid,
		},
		validation{
			Expression: "oldObject == null || " + sameTier(),
			Message:    "a policy on trial can't come from another tier",
			Reason:     invalid,
		},
	)
	return p
}

// agentWrites holds agents to taking back a trial: RBAC can't grant that alone,
// and a node that somebody else has taken over must not change policies. What is
// left to it is to end a trial too early.
func agentWrites() policy {
	p := policy{
		name:       "netpol-agent-writes",
		resources:  []string{"*"},
		kubernetes: []string{"networkpolicies"},
		operations: []string{"CREATE", "UPDATE", "DELETE"},
		conditions: []condition{{Name: "agent", Expression: "request.userInfo.username == '" + agent + "'"}},
		action:     "Deny",
	}
	p.let("previous", "oldObject == null ? '' : "+note("oldObject", model.NotePrevious))
	p.let("old_notes", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})")
	p.let("new_notes", "object == null ? {} : object.metadata.?annotations.orValue({})")
	p.let("trial_notes", list(trialNotes))
	p.let("changed_notes", list(changedNotes))
	only := func(expression, message string) {
		p.rules = append(p.rules, validation{Expression: expression, Message: message, Reason: forbidden})
	}
	only("oldObject != null && variables.trial_notes.all(k, k in variables.old_notes)", agent+" may change policies on trial only")
	only("object != null ? variables.previous != 'null' && variables.previous == "+formatted("object")+" && "+sameTier()+" : variables.previous == 'null'",
		agent+" may only put back what was enforced before the trial")
	const same = " == oldObject"
	only("object == null || oldObject == null || object.metadata.?labels.orValue({})"+same+".metadata.?labels.orValue({}) && "+
		"object.metadata.?ownerReferences.orValue([])"+same+".metadata.?ownerReferences.orValue([]) && "+
		"object.metadata.?finalizers.orValue([])"+same+".metadata.?finalizers.orValue([])", agent+" may not change labels, owners and finalizers")
	only("object == null || variables.new_notes[?"+quote(model.NoteRevertedBy)+"].orValue('').size() <= 4096", agent+" may say why in 4096 characters")
	only("object == null || variables.new_notes.all(k, k in variables.changed_notes || !(k in variables.trial_notes) && k in variables.old_notes && variables.new_notes[k] == variables.old_notes[k]) && "+
		"variables.old_notes.all(k, k in variables.trial_notes || k in variables.changed_notes || k in variables.new_notes)", agent+" may not change other annotations")
	return p
}

// list is a list of strings in CEL.
func list(names []string) string {
	out := "["
	for i, n := range names {
		if i > 0 {
			out += ", "
		}
		out += quote(n)
	}
	return out + "]"
}
