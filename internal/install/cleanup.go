package install

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Cleanup is the DaemonSet that removes the rules of former agents from every
// node. Where agents ran as installed says (their image, its pull secrets, and
// the nodes they were for) it does too; nil: as v says. The directories of the
// CNI plugin are v's.
func Cleanup(v *Values, installed *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	if err := v.Validate(); err != nil {
		return nil, err
	}
	d, err := newPlain(v)
	if err != nil {
		return nil, err
	}
	text, err := expand("cleanup/daemonset.yaml", d)
	if err != nil {
		return nil, err
	}
	objects, err := decode(text)
	if err != nil {
		return nil, err
	}
	u := objects[0]
	if installed == nil {
		return u, nil
	}
	return u, asInstalled(u, installed)
}

// InstalledCNI are the settings of the CNI plugin that the agents' DaemonSet was
// installed with; nil has none.
func InstalledCNI(agent *unstructured.Unstructured) (c CNI) {
	if agent == nil {
		return c
	}
	volumes, _, _ := unstructured.NestedSlice(agent.Object, "spec", "template", "spec", "volumes")
	for _, item := range volumes {
		v, _ := item.(map[string]any)
		path, _, _ := unstructured.NestedString(v, "hostPath", "path")
		switch v["name"] {
		case "cni-bin":
			c.BinDir = path
		case "cni-conf":
			c.ConfDir = path
		}
	}
	c.Enabled = c.validate() == nil
	return c
}

func asInstalled(u, installed *unstructured.Unstructured) error {
	spec := []string{"spec", "template", "spec"}
	agent, found, err := unstructured.NestedMap(installed.Object, spec...)
	if err != nil || !found {
		return fmt.Errorf("DaemonSet %s has no pods", installed.GetName())
	}
	pod, _, err := unstructured.NestedMap(u.Object, spec...)
	if err != nil {
		return err
	}
	for _, field := range []string{"tolerations", "nodeSelector", "affinity", "imagePullSecrets"} {
		delete(pod, field)
		if value, ok := agent[field]; ok {
			pod[field] = value
		}
	}
	first := func(pod map[string]any, list string) map[string]any {
		items, _ := pod[list].([]any)
		if len(items) == 0 {
			return nil
		}
		c, _ := items[0].(map[string]any)
		return c
	}
	from := first(agent, "containers")
	for _, list := range []string{"initContainers", "containers"} {
		to := first(pod, list)
		for _, field := range []string{"image", "imagePullPolicy"} {
			if value, ok := from[field]; ok && to != nil {
				to[field] = value
			}
		}
	}
	return unstructured.SetNestedMap(u.Object, pod, spec...)
}

// SetImage gives all containers of a DaemonSet an image.
func SetImage(u *unstructured.Unstructured, image string) error {
	for _, list := range []string{"initContainers", "containers"} {
		path := []string{"spec", "template", "spec", list}
		items, _, err := unstructured.NestedSlice(u.Object, path...)
		if err != nil {
			return err
		}
		for _, item := range items {
			if c, ok := item.(map[string]any); ok {
				c["image"] = image
			}
		}
		if err := unstructured.SetNestedSlice(u.Object, items, path...); err != nil {
			return err
		}
	}
	return nil
}
