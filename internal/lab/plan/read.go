package plan

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// File is a manifest: a name, relative to the lab's directory of manifests,
// and its content. Given is what the user calls it, for messages.
type File struct {
	Name  string
	Given string
	Data  []byte
}

// document is one resource of a file.
type document struct {
	file int // index into the files
	root *yaml.Node
	// api is the group and version.
	api, kind string
	meta      metav1.ObjectMeta
	json      []byte
}

// where is file:line of the document, for messages.
func (d *document) where(files []File) string {
	return fmt.Sprintf("%s:%d", files[d.file].Given, d.root.Line)
}

// decode fills obj, a pointer to a Kubernetes type.
func (d *document) decode(obj any) error { return json.Unmarshal(d.json, obj) }

// namespace is the document's namespace, "default" if it gives none.
func (d *document) namespace() string {
	if d.meta.Namespace == "" {
		return metav1.NamespaceDefault
	}
	return d.meta.Namespace
}

// read splits files into documents. Lists (kind List) are refused: the lab
// edits documents in place.
func read(files []File) ([]*document, error) {
	var docs []*document
	var faults []error
	for i := range files {
		dec := yaml.NewDecoder(bytes.NewReader(files[i].Data))
		for {
			var node yaml.Node
			err := dec.Decode(&node)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", files[i].Given, err))
				break
			}
			doc, err := toDocument(i, &node)
			if err != nil {
				faults = append(faults, fmt.Errorf("%s:%d: %w", files[i].Given, node.Line, err))
				continue
			}
			if doc != nil {
				docs = append(docs, doc)
			}
		}
	}
	return docs, errors.Join(faults...)
}

func toDocument(file int, node *yaml.Node) (*document, error) {
	if node.Kind != yaml.DocumentNode || len(node.Content) == 0 {
		return nil, nil
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil // an empty document
	}
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("not a Kubernetes resource: expected a mapping with apiVersion and kind")
	}
	var content any
	if err := root.Decode(&content); err != nil {
		return nil, err
	}
	data, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("not a Kubernetes resource: %w", err)
	}
	var head struct {
		APIVersion string            `json:"apiVersion"`
		Kind       string            `json:"kind"`
		Metadata   metav1.ObjectMeta `json:"metadata"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("not a Kubernetes resource: %w", err)
	}
	if head.APIVersion == "" || head.Kind == "" {
		return nil, errors.New("not a Kubernetes resource: apiVersion and kind are needed")
	}
	if head.Kind == "List" {
		return nil, errors.New("a List can't be used in a lab; write its items as documents separated by ---")
	}
	if head.Metadata.Name == "" {
		return nil, fmt.Errorf("%s without metadata.name", head.Kind)
	}
	return &document{file: file, root: root, api: head.APIVersion, kind: head.Kind, meta: head.Metadata, json: data}, nil
}

// owner is a workload of the manifests, in one form for all kinds.
type owner struct {
	doc      *document
	kind     string
	replicas int
	labels   map[string]string
	notes    map[string]string // the template's annotations
	spec     corev1.PodSpec
}

// workload turns a document into an owner; nil if its kind runs no pods.
func workload(d *document) (*owner, error) {
	o := &owner{doc: d, kind: d.kind, replicas: 1}
	switch d.kind {
	case "Deployment":
		var w appsv1.Deployment
		if err := d.decode(&w); err != nil {
			return nil, err
		}
		o.template(w.Spec.Template, w.Spec.Replicas)
	case "StatefulSet":
		var w appsv1.StatefulSet
		if err := d.decode(&w); err != nil {
			return nil, err
		}
		o.template(w.Spec.Template, w.Spec.Replicas)
	case "ReplicaSet":
		var w appsv1.ReplicaSet
		if err := d.decode(&w); err != nil {
			return nil, err
		}
		if metav1.GetControllerOf(&w) != nil {
			return nil, nil // its Deployment makes it
		}
		o.template(w.Spec.Template, w.Spec.Replicas)
	case "DaemonSet":
		var w appsv1.DaemonSet
		if err := d.decode(&w); err != nil {
			return nil, err
		}
		o.template(w.Spec.Template, nil)
	case "Pod":
		var w corev1.Pod
		if err := d.decode(&w); err != nil {
			return nil, err
		}
		o.labels, o.notes, o.spec = w.Labels, w.Annotations, w.Spec
	default:
		return nil, nil
	}
	return o, nil
}

func (o *owner) template(t corev1.PodTemplateSpec, replicas *int32) {
	o.labels, o.notes, o.spec = maps.Clone(t.Labels), t.Annotations, t.Spec
	if replicas != nil {
		o.replicas = int(*replicas)
	}
}

// ports are the ports that the containers and native sidecars declare, each
// name and each port once; left are those of protocols that actors don't speak
// (SCTP has no sockets in many kernels).
func (o *owner) ports() (out []Port, left []string) {
	all := slices.Clone(o.spec.Containers)
	for _, c := range o.spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c)
		}
	}
	for _, c := range all {
		for _, p := range c.Ports {
			port := Port{Name: p.Name, Protocol: cmp.Or(string(p.Protocol), TCP), Port: uint16(p.ContainerPort)}
			switch {
			case port.Protocol != TCP && port.Protocol != UDP:
				left = append(left, fmt.Sprintf("%d/%s", port.Port, port.Protocol))
			case !slices.Contains(out, port):
				out = append(out, port)
			}
		}
	}
	return out, left
}
