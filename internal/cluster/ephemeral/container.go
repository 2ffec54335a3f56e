// Package ephemeral makes test connections from inside the pods of a cluster,
// through an ephemeral container in each, as kubectl debug does: the
// application's image needs no tool for it, and the user needs no right but
// those on the pods.
package ephemeral

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// containerName is the container's name. Kubernetes can't take an ephemeral
// container away nor start it again, so that a pod where one ended gets another,
// with a number behind its name.
const containerName = "netpol-probe"

// container is what is added to a pod: a process that does nothing, to run
// probers beside. What it may do is what PodSecurity "restricted" accepts.
func container(name, image string) map[string]any {
	return map[string]any{
		"name": name, "image": image, "imagePullPolicy": "IfNotPresent",
		"command": []any{"/netpol", "actor", "wait"},
		"securityContext": map[string]any{
			"runAsNonRoot": true, "runAsUser": int64(65532), "runAsGroup": int64(65532),
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
			"capabilities":   map[string]any{"drop": []any{"ALL"}},
			"seccompProfile": map[string]any{"type": "RuntimeDefault"},
		},
	}
}

// state is how a pod's container for probing fares.
type state int

const (
	absent  state = iota
	waiting       // it is being started
	running
	ended // it can't be started again
)

// found is the container for probing that a pod has.
type found struct {
	name  string
	state state
	// why it waits, as the kubelet says, empty if it does not tell.
	why string
}

// find looks for a pod's container of an image: a running one, else one that
// starts. next is a free name.
func find(pod *unstructured.Unstructured, image string) (best found, next string) {
	specs, _, _ := unstructured.NestedSlice(pod.Object, "spec", "ephemeralContainers")
	taken := []string{}
	for _, s := range specs {
		spec, _ := s.(map[string]any)
		name, _, _ := unstructured.NestedString(spec, "name")
		taken = append(taken, name)
		made, _, _ := unstructured.NestedString(spec, "image")
		command, _, _ := unstructured.NestedStringSlice(spec, "command")
		if made != image || !slices.Equal(command, []string{"/netpol", "actor", "wait"}) {
			continue
		}
		f := stateOf(pod, name)
		if best.state == absent || f.state == running || best.state == ended {
			best = f
		}
	}
	next = containerName
	for i := 2; slices.Contains(taken, next); i++ {
		next = fmt.Sprintf("%s-%d", containerName, i)
	}
	return best, next
}

func stateOf(pod *unstructured.Unstructured, name string) found {
	statuses, _, _ := unstructured.NestedSlice(pod.Object, "status", "ephemeralContainerStatuses")
	for _, s := range statuses {
		status, _ := s.(map[string]any)
		if n, _, _ := unstructured.NestedString(status, "name"); n != name {
			continue
		}
		if _, ok, _ := unstructured.NestedMap(status, "state", "running"); ok {
			return found{name: name, state: running}
		}
		if _, ok, _ := unstructured.NestedMap(status, "state", "terminated"); ok {
			return found{name: name, state: ended}
		}
		why, _, _ := unstructured.NestedString(status, "state", "waiting", "reason")
		text, _, _ := unstructured.NestedString(status, "state", "waiting", "message")
		if text != "" {
			why += ": " + text
		}
		return found{name: name, state: waiting, why: why}
	}
	return found{name: name, state: waiting}
}
