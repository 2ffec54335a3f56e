package calico

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// usual are where Calico's agents are, for whoever may not list all DaemonSets.
var usual = [][2]string{{System, "calico-node"}, {"kube-system", "calico-node"}, {"kube-system", "canal"}}

// daemonSet is what is read of one.
type daemonSet struct {
	Metadata struct{ Namespace, Name string }
	Spec     struct {
		Template struct {
			Spec struct {
				Containers []struct{ Name, Image string }
			}
		}
	}
	Status struct{ DesiredNumberScheduled, NumberReady int }
}

// agents reads the DaemonSets that run calico-node.
func (r *reader) agents() {
	var list struct{ Items []daemonSet }
	body, err := r.raw.Get(r.ctx, "/apis/apps/v1/daemonsets")
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil && !apierrors.IsForbidden(err) && !apierrors.IsNotFound(err) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = cmp.Or(r.err, err)
		return
	}
	if err != nil {
		for _, at := range usual {
			var d daemonSet
			if r.get(&d, "get daemonsets.apps/"+at[1]+" -n "+at[0], "/apis/apps/v1/namespaces", at[0], "daemonsets", at[1]) {
				d.Metadata.Namespace, d.Metadata.Name = at[0], at[1]
				list.Items = append(list.Items, d)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range list.Items {
		if a, ok := agentOf(&d); ok {
			r.facts.Agents = append(r.facts.Agents, a)
		}
	}
	slices.SortFunc(r.facts.Agents, func(x, y Agent) int {
		return cmp.Or(strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
	})
}

// agentOf knows Calico's agent by its name, or by its image whatever its name
// is; Canal is it with flannel's network.
func agentOf(d *daemonSet) (Agent, bool) {
	a := Agent{Namespace: d.Metadata.Namespace, Name: d.Metadata.Name, Wanted: d.Status.DesiredNumberScheduled, Ready: d.Status.NumberReady}
	found := a.Name == "calico-node" || a.Name == "canal"
	for _, c := range d.Spec.Template.Spec.Containers {
		last := c.Image[strings.LastIndex(c.Image, "/")+1:]
		image := strings.Contains(c.Image, "calico/node:") || strings.Contains(c.Image, "calico/node@") || strings.HasPrefix(last, "calico-node")
		if c.Name == "calico-node" || image && a.Image == "" {
			a.Image = c.Image
		}
		found = found || image
	}
	return a, found
}

// operator reads the Deployment of Calico's operator.
func (r *reader) operator() {
	const namespace, name = "tigera-operator", "tigera-operator"
	var doc struct{}
	if r.get(&doc, "get deployments.apps/"+name+" -n "+namespace, "/apis/apps/v1/namespaces", namespace, "deployments", name) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.facts.Operator = namespace + "/" + name
	}
}
