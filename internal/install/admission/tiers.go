package admission

import (
	"strings"

	"github.com/netpol-project/netpol/internal/install/crd"
)

// keeper is who puts finalizers on tiers and takes them off (S13).
const keeper = "system:serviceaccount:netpol-system:netpol-flows"

// tierKeeper holds the keeper to that: RBAC can't grant to change finalizers
// alone, and who can change a tier decides about every policy in it.
func tierKeeper() policy {
	p := policy{
		name:       "netpol-tier-keeper",
		resources:  []string{"tiers"},
		operations: []string{"CREATE", "UPDATE"},
		conditions: []condition{{Name: "keeper", Expression: "request.userInfo.username == '" + keeper + "'"}},
		action:     "Deny",
	}
	const same = " == oldObject"
	p.rules = append(p.rules, validation{
		Expression: "oldObject != null && object.?spec.orValue({})" + same + ".?spec.orValue({}) && " +
			"object.metadata.?labels.orValue({})" + same + ".metadata.?labels.orValue({}) && " +
			"object.metadata.?annotations.orValue({})" + same + ".metadata.?annotations.orValue({}) && " +
			"object.metadata.?ownerReferences.orValue([])" + same + ".metadata.?ownerReferences.orValue([])",
		Message: keeper + " may change finalizers of tiers only",
		Reason:  forbidden,
	})
	return p
}

// tiers refuses deleting the tiers that are built in (S1).
func tiers() policy {
	p := policy{
		name:       "netpol-builtin-tiers",
		resources:  []string{"tiers"},
		operations: []string{"DELETE"},
		action:     "Deny",
	}
	var names []string
	for _, t := range crd.BuiltinTiers() {
		names = append(names, "'"+t.Name+"'")
	}
	p.rules = append(p.rules, validation{
		Expression:        "!(oldObject.metadata.name in [" + strings.Join(names, ", ") + "])",
		Message:           "the tier is built in and can't be deleted",
		MessageExpression: `'tier "' + oldObject.metadata.name + '" is built in and can\'t be deleted'`,
		Reason:            forbidden,
	})
	return p
}

// tierInUse refuses deleting a tier that a policy of a kind without namespace
// is in: every such policy is a parameter, and each is asked. Policies in
// namespaces can't be parameters of what is in none; the finalizer is for them.
func tierInUse(kind string) policy {
	p := policy{
		name:       "netpol-tier-in-use-" + strings.ToLower(kind),
		resources:  []string{"tiers"},
		operations: []string{"DELETE"},
		param:      kind,
		action:     "Deny",
	}
	p.rules = append(p.rules, validation{
		Expression:        "params.?spec.?tier.orValue('default') != oldObject.metadata.name",
		Message:           "the tier is in use",
		MessageExpression: `'tier "' + oldObject.metadata.name + '" is in use by ` + kind + ` ' + params.metadata.name`,
		Reason:            forbidden,
	})
	return p
}
