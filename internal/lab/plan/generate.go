package plan

import (
	"bytes"
	_ "embed"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// systemManifest is the cluster's DNS.
//
//go:embed system.yaml
var systemManifest string

const generatedNote = "# Written by netpol lab: what a cluster's controllers would have made.\n"

// generate writes the objects that a cluster's controllers make: namespaces
// that are used but not given, ReplicaSets and Pods.
func (b *builder) generate() ([]File, error) {
	var namespaces, replicaSets, pods []any
	given := map[string]bool{}
	for _, d := range b.docs {
		if d.kind == "Namespace" {
			given[d.meta.Name] = true
		}
	}
	used := map[string]bool{}
	seen := map[*owner]bool{}
	for i := range b.pods {
		p := &b.pods[i]
		used[p.Namespace] = true
		if p.owner.kind == "Deployment" && !seen[p.owner] {
			replicaSets = append(replicaSets, b.replicaSet(p))
		}
		seen[p.owner] = true
		if p.owner.kind != "Pod" {
			pods = append(pods, b.pod(p))
		}
	}
	for _, s := range b.out.Services {
		used[s.Namespace] = true
	}
	for _, name := range slices.Sorted(maps.Keys(used)) {
		if !given[name] {
			namespaces = append(namespaces, namespaceObject(name))
		}
	}
	var files []File
	for _, part := range []struct {
		name    string
		objects []any
	}{{"namespaces", namespaces}, {"replicasets", replicaSets}, {"pods", pods}} {
		if len(part.objects) == 0 {
			continue
		}
		data, err := encode(part.objects)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Name: "cluster/" + part.name + ".yaml", Data: data})
	}
	return files, nil
}

func encode(objects []any) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString(generatedNote)
	for i, o := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		data, err := yaml.Marshal(o)
		if err != nil {
			return nil, err
		}
		out.Write(data)
	}
	return out.Bytes(), nil
}

// namespaceObject has the label that an API server gives every namespace.
func namespaceObject(name string) any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": name, "labels": map[string]string{corev1.LabelMetadataName: name}},
	}
}

// replicaSet is the ReplicaSet between a Deployment and its pods.
func (b *builder) replicaSet(p *madePod) any {
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": map[string]any{
			"namespace": p.Namespace, "name": p.Workload.Name + "-" + p.hash, "labels": b.podLabels(p),
			"ownerReferences": owners("apps/v1", "Deployment", p.Workload.Name),
		},
		"spec": map[string]any{
			"replicas": p.owner.replicas,
			"selector": metav1.LabelSelector{MatchLabels: b.podLabels(p)},
		},
	}
}

func (b *builder) podLabels(p *madePod) map[string]string {
	labels := maps.Clone(p.owner.labels)
	if labels == nil {
		labels = map[string]string{}
	}
	switch p.owner.kind {
	case "Deployment":
		labels[appsv1.DefaultDeploymentUniqueLabelKey] = p.hash
	case "StatefulSet":
		labels[appsv1.StatefulSetPodNameLabel] = p.Name
	}
	return labels
}

func (b *builder) pod(p *madePod) any {
	kind, name := p.owner.kind, p.Workload.Name
	if kind == "Deployment" {
		kind, name = "ReplicaSet", name+"-"+p.hash
	}
	spec := p.owner.spec
	spec.NodeName = NodeName
	meta := map[string]any{
		"namespace": p.Namespace, "name": p.Name, "labels": b.podLabels(p), "uid": uid(p.ID()),
		"ownerReferences": owners("apps/v1", kind, name),
	}
	if b.opts.Created != "" {
		meta["creationTimestamp"] = b.opts.Created
	}
	if len(p.owner.notes) > 0 {
		meta["annotations"] = p.owner.notes
	}
	ips := make([]map[string]string, len(p.Addrs))
	for i, a := range p.Addrs {
		ips[i] = map[string]string{"ip": a.String()}
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec,
		"status": map[string]any{
			"phase": "Running", "hostIP": b.out.Node.Addrs[0].String(), "podIP": p.Addrs[0].String(), "podIPs": ips,
			"conditions": []map[string]string{{"type": "Ready", "status": "True"}},
		},
	}
}

func owners(apiVersion, kind, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: uid(kind + "/" + name), Controller: &yes,
	}}
}

// uid looks like the ones that an API server makes, but is the same for the
// same object every time.
func uid(s string) types.UID {
	h := suffix("uid1"+s, 8) + suffix("uid2"+s, 12)
	return types.UID(h[:8] + "-" + h[8:])
}
