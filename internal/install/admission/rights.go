package admission

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/install/crd"
)

// rights holds changes of policies to the rights that users have in the
// policy's tier: what Calico's API server asks RBAC. A user needs the verb on
// tier.RESOURCE, for the name TIER.* or TIER.POLICY, and get on the tier.
// Whoever moves a policy needs both in the tier that it leaves and in the one
// that it comes to. Patching and applying are update here, as the API server
// admits them.
//
// Reading can't be held to tiers this way: it passes no admission.
func rights() policy {
	p := policy{
		name:       "netpol-tier-rights",
		resources:  tieredResources(),
		operations: []string{"CREATE", "UPDATE", "DELETE"},
		action:     "Deny",
	}
	p.let("verb", "{'CREATE': 'create', 'UPDATE': 'update', 'DELETE': 'delete'}[request.operation]")
	p.let("resource", "'tier.' + request.resource.resource")
	p.let("new_tier", tierOf("object"))
	p.let("old_tier", tierOf("oldObject"))
	p.let("policy", "object == null ? oldObject.metadata.name : object.metadata.?name.orValue('')")
	for _, when := range []string{"new", "old"} {
		tier := "variables." + when + "_tier"
		// A check costs a third of what one expression may, so each is a variable.
		p.let(when+"_get", "authorizer.group('"+crd.Group+"').resource('tiers').name("+tier+").check('get').allowed()")
		p.let(when+"_all", check(tier+" + '.*'"))
		p.let(when+"_one", check("(variables.policy.startsWith("+tier+" + '.') ? variables.policy : "+tier+" + '.' + variables.policy)"))
	}
	p.rules = append(p.rules,
		hasRight("object == null", "new"),
		hasRight("oldObject == null || variables.old_tier == variables.new_tier", "old"),
	)
	return p
}

func tierOf(object string) string {
	return object + " == null ? '' : (" + object + ".?spec.?tier.orValue('') == '' ? 'default' : " + object + ".spec.tier)"
}

func check(name string) string {
	return "authorizer.group('" + crd.Group + "').resource(variables.resource).namespace(request.?namespace.orValue('')).name(" + name + ").check(variables.verb).allowed()"
}

// hasRight is the validation for the tier that a policy is in afterwards (new)
// or was in before (old).
func hasRight(unless, when string) validation {
	tier := "variables." + when + "_tier"
	return validation{
		Expression: unless + " || variables." + when + "_get && (variables." + when + "_all || variables." + when + "_one)",
		Message:    "the user has no right to change policies of this tier",
		MessageExpression: `'user "' + request.userInfo.username + '" may not ' + variables.verb + ' ' + request.resource.resource + ' in tier "' + ` + tier +
			` + '": that takes get on tiers "' + ` + tier + ` + '" and ' + variables.verb + ' on ' + variables.resource + ' "' + ` + tier +
			` + '.*"; for the role to ask for: netpol auth can-i ' + variables.verb + ' ' + request.resource.resource + ' --tier ' + ` + tier,
		Reason: forbidden,
	}
}

// Roles are ClusterRoles that Kubernetes adds to its own roles view, edit and
// admin: whoever may edit a namespace may edit v3 policies there, too, in tier
// default; other tiers are granted one by one.
func Roles() []*unstructured.Unstructured {
	namespaced := []string{"networkpolicies", "stagednetworkpolicies", "stagedkubernetesnetworkpolicies", "networksets"}
	cluster := []string{"tiers", "globalnetworkpolicies", "stagedglobalnetworkpolicies", "globalnetworksets", "hostendpoints"}
	read := []string{"get", "list", "watch"}
	write := []string{"create", "update", "patch", "delete", "deletecollection"}
	rule := func(verbs, resources []string, names ...string) map[string]any {
		r := map[string]any{"apiGroups": []string{crd.Group}, "resources": resources, "verbs": verbs}
		if len(names) > 0 {
			r["resourceNames"] = names
		}
		return r
	}
	return []*unstructured.Unstructured{
		role("netpol-policies-view", []string{"view"}, rule(read, append(cluster, namespaced...))),
		role("netpol-policies-edit", []string{"edit", "admin"},
			rule(write, namespaced),
			rule([]string{"get"}, []string{"tiers"}, "default"),
			rule(write[:4], []string{"tier.networkpolicies", "tier.stagednetworkpolicies"}, "default.*"),
		),
	}
}

func role(name string, aggregateTo []string, rules ...map[string]any) *unstructured.Unstructured {
	labels := map[string]any{"app.kubernetes.io/name": "netpol", "app.kubernetes.io/component": "api"}
	for _, to := range aggregateTo {
		labels["rbac.authorization.k8s.io/aggregate-to-"+to] = "true"
	}
	return fromJSON(map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1",
		"kind":       "ClusterRole",
		"metadata":   map[string]any{"name": name, "labels": labels},
		"rules":      rules,
	})
}
