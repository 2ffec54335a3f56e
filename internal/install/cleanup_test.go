package install

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestCleanupRunsWhereAgentsDid(t *testing.T) {
	v, err := Defaults(Release)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := Cleanup(v, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := object[appsv1.DaemonSet](t, []*unstructured.Unstructured{plain}, "DaemonSet", CleanupName)
	pod := d.Spec.Template.Spec
	if *pod.AutomountServiceAccountToken || !pod.HostNetwork || pod.Containers[0].Image != v.Image {
		t.Errorf("%+v", pod)
	}
	for _, c := range []corev1.Container{pod.InitContainers[0], pod.Containers[0]} {
		if !slices.Contains(c.Args, "--cni-bin-dir=/opt/cni/bin") || !slices.Contains(c.Args, "--cni-conf-dir=/etc/cni/net.d") ||
			c.VolumeMounts[0].MountPath != "/opt/cni/bin" || c.VolumeMounts[1].MountPath != "/etc/cni/net.d" {
			t.Errorf("%v %v", c.Args, c.VolumeMounts)
		}
		if !slices.Equal(c.SecurityContext.Capabilities.Add, []corev1.Capability{"NET_ADMIN"}) || !*c.SecurityContext.ReadOnlyRootFilesystem {
			t.Errorf("%+v", c.SecurityContext)
		}
	}
	list := objects(t, func(v *Values) {
		if err := v.Merge([]byte(`{image: 'other/netpol:v2', imagePullSecrets: [{name: pull}], agent: {nodeSelector: {pool: x}, tolerations: [{key: a, operator: Exists}]}}`)); err != nil {
			t.Fatal(err)
		}
	})
	i := slices.IndexFunc(list, func(u *unstructured.Unstructured) bool { return u.GetKind() == "DaemonSet" })
	like, err := Cleanup(v, list[i])
	if err != nil {
		t.Fatal(err)
	}
	pod = object[appsv1.DaemonSet](t, []*unstructured.Unstructured{like}, "DaemonSet", CleanupName).Spec.Template.Spec
	if pod.InitContainers[0].Image != "other/netpol:v2" || pod.Containers[0].Image != "other/netpol:v2" ||
		pod.ImagePullSecrets[0].Name != "pull" || pod.NodeSelector["pool"] != "x" || pod.Tolerations[0].Key != "a" {
		t.Errorf("%+v", pod)
	}
}
