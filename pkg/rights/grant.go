package rights

import (
	"cmp"
	"slices"
	"strings"
)

// User is who is to be granted something.
type User struct {
	Name string // as the API server knows it: mia, system:serviceaccount:ns:name
}

// subject is the user in a binding.
func (u User) subject() map[string]any {
	if rest, ok := strings.CutPrefix(u.Name, "system:serviceaccount:"); ok {
		if ns, name, ok := strings.Cut(rest, ":"); ok {
			return map[string]any{"kind": "ServiceAccount", "namespace": ns, "name": name}
		}
	}
	return map[string]any{"apiGroup": groupRBAC, "kind": "User", "name": u.Name}
}

const groupRBAC = "rbac.authorization.k8s.io"

// Grant is a role and its binding for every place where the user lacks a
// right: Roles in namespaces, a ClusterRole for what is of the whole cluster.
func Grant(a Action, user User, missing []Right) []map[string]any {
	places := map[string][]Right{}
	for _, r := range missing {
		places[r.Namespace] = append(places[r.Namespace], r)
	}
	var names []string
	for ns := range places {
		names = append(names, ns)
	}
	slices.Sort(names)
	var out []map[string]any
	for _, ns := range names {
		out = append(out, grantIn(ns, grantName(a), user, places[ns])...)
	}
	return out
}

// grantName names the roles after the action.
func grantName(a Action) string {
	parts := []string{"netpol", a.Verb, Resource(a.Kind)}
	if Tiered(a.Kind) && !readOnly(a.Verb) {
		parts = append(parts, defaultTier(a.Tier))
	}
	if a.Name != "" {
		parts = append(parts, a.Name)
	}
	return strings.Join(parts, "-")
}

func readOnly(verb string) bool { return verb == "get" || verb == "list" || verb == "watch" }

func grantIn(ns, name string, user User, rights []Right) []map[string]any {
	role, binding := "Role", "RoleBinding"
	if ns == "" {
		role, binding = "ClusterRole", "ClusterRoleBinding"
	}
	meta := func(name string) map[string]any {
		m := map[string]any{"name": name}
		if ns != "" {
			m["namespace"] = ns
		}
		return m
	}
	who := strings.NewReplacer("/", "-", "%", "-").Replace(user.Name)
	return []map[string]any{
		{"apiVersion": groupRBAC + "/v1", "kind": role, "metadata": meta(name), "rules": rules(rights)},
		{
			"apiVersion": groupRBAC + "/v1", "kind": binding, "metadata": meta(name + ":" + who),
			"roleRef":  map[string]any{"apiGroup": groupRBAC, "kind": role, "name": name},
			"subjects": []any{user.subject()},
		},
	}
}

// rules are rights with those of one resource and name together.
func rules(rights []Right) []any {
	type key struct{ group, resource, name string }
	verbs := map[key][]string{}
	var keys []key
	for _, r := range rights {
		k := key{r.Group, r.Resource, r.Name}
		if verbs[k] == nil {
			keys = append(keys, k)
		}
		if !slices.Contains(verbs[k], r.Verb) {
			verbs[k] = append(verbs[k], r.Verb)
		}
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.resource, b.resource), cmp.Compare(a.name, b.name))
	})
	var out []any
	for _, k := range keys {
		rule := map[string]any{"apiGroups": []any{k.group}, "resources": []any{k.resource}, "verbs": texts(verbs[k])}
		if k.name != "" {
			rule["resourceNames"] = []any{k.name}
		}
		out = append(out, rule)
	}
	return out
}

func texts(list []string) []any {
	slices.Sort(list)
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
