package install

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// objects are those of the default settings after change.
func objects(t *testing.T, change func(*Values)) []*unstructured.Unstructured {
	t.Helper()
	v, err := Defaults(Release)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(v)
	}
	out, err := Objects(v)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// object is one of them as its Go type, which must have every field of it.
func object[T any](t *testing.T, list []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, u := range list {
		if u.GetKind() == kind && u.GetName() == name {
			out := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, out, true); err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			return out
		}
	}
	t.Fatalf("no %s %s", kind, name)
	return nil
}

func TestEverythingIsLabelledAndOfOneNamespace(t *testing.T) {
	clusterWide := []string{"Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	seen := map[string]bool{}
	for _, u := range objects(t, func(v *Values) { v.Flows.Groups = []string{"developers"} }) {
		id := u.GetKind() + " " + u.GetName()
		if seen[id] {
			t.Errorf("%s: twice", id)
		}
		seen[id] = true
		if l := u.GetLabels(); l[LabelPartOf] != Ours || l[LabelManagedBy] != Ours {
			t.Errorf("%s: labels %v", id, l)
		}
		want := Namespace
		if slices.Contains(clusterWide, u.GetKind()) {
			want = ""
		}
		if u.GetNamespace() != want {
			t.Errorf("%s: namespace %q, want %q", id, u.GetNamespace(), want)
		}
		if _, err := ResourceOf(u.GroupVersionKind()); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestOrder(t *testing.T) {
	list := objects(t, nil)
	at := func(kind, name string) int {
		i := slices.IndexFunc(list, func(u *unstructured.Unstructured) bool { return u.GetKind() == kind && u.GetName() == name })
		if i < 0 {
			t.Fatalf("no %s %s", kind, name)
		}
		return i
	}
	for _, pair := range [][4]string{
		{"Namespace", Namespace, "ServiceAccount", AgentName},
		{"ClusterRoleBinding", AgentName, "DaemonSet", AgentName},
		{"ValidatingAdmissionPolicyBinding", "netpol-agent-writes", "ClusterRole", AgentName},
		{"ValidatingAdmissionPolicy", "netpol-port-forward", "DaemonSet", AgentName},
		{"NetworkPolicy", FlowsName, "Deployment", FlowsName},
		{"RoleBinding", FlowsName, "Deployment", FlowsName},
	} {
		if at(pair[0], pair[1]) > at(pair[2], pair[3]) {
			t.Errorf("%s comes after %s", pair[:2], pair[2:])
		}
	}
}

// An agent writes nothing but what nobody confirmed in time, which an admission
// policy holds it to that is there before the right is.
func TestTheAgentWritesPoliciesOnTrialAlone(t *testing.T) {
	list := objects(t, nil)
	role := object[rbacv1.ClusterRole](t, list, "ClusterRole", AgentName)
	var got, written []string
	for _, r := range role.Rules {
		if slices.Contains(r.Verbs, "update") {
			for _, resource := range r.Resources {
				written = append(written, r.APIGroups[0]+"/"+resource)
			}
			continue
		}
		if !slices.Equal(r.Verbs, []string{"get", "list", "watch"}) || len(r.NonResourceURLs) > 0 {
			t.Errorf("%v: verbs %v", r.Resources, r.Verbs)
		}
		for _, resource := range r.Resources {
			got = append(got, r.APIGroups[0]+"/"+resource)
		}
	}
	want := []string{"/namespaces", "/nodes", "/pods", "/serviceaccounts", "/services", "batch/jobs", "discovery.k8s.io/endpointslices",
		"networking.k8s.io/networkpolicies", "policy.networking.k8s.io/clusternetworkpolicies"}
	for _, k := range []string{"globalnetworkpolicies", "globalnetworksets", "hostendpoints", "networkpolicies", "networksets",
		"stagedglobalnetworkpolicies", "stagedkubernetesnetworkpolicies", "stagednetworkpolicies", "tiers"} {
		want = append(want, "projectcalico.org/"+k)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"networking.k8s.io/networkpolicies", "projectcalico.org/globalnetworkpolicies", "projectcalico.org/networkpolicies",
		"projectcalico.org/tier.globalnetworkpolicies", "projectcalico.org/tier.networkpolicies"}, written); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	own := object[rbacv1.Role](t, list, "Role", AgentName)
	if diff := cmp.Diff([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"},
		ResourceNames: []string{CAName}, Verbs: []string{"get", "list", "watch"}}}, own.Rules); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheFlowsServerWritesItsCertificateAndFinalizersAlone(t *testing.T) {
	list := objects(t, nil)
	var wide []string
	for _, r := range object[rbacv1.ClusterRole](t, list, "ClusterRole", FlowsName).Rules {
		wide = append(wide, strings.Join(r.Verbs, " ")+": "+strings.Join(r.Resources, " "))
	}
	// What it may patch of tiers is held to their finalizers by an admission policy.
	if diff := cmp.Diff([]string{"create: tokenreviews", "create: subjectaccessreviews", "list patch watch: tiers",
		"list: globalnetworkpolicies networkpolicies stagedglobalnetworkpolicies stagednetworkpolicies"}, wide); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	object[unstructured.Unstructured](t, list, "ValidatingAdmissionPolicy", "netpol-tier-keeper")
	for _, r := range object[rbacv1.Role](t, list, "Role", FlowsName).Rules {
		writes := slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "update" || v == "patch" || v == "delete" })
		if writes && !slices.Equal(r.ResourceNames, []string{CAName}) {
			t.Errorf("right %v %v of any name", r.Verbs, r.Resources)
		}
		if slices.Contains(r.Resources, "secrets") && slices.Contains(r.Verbs, "get") && !slices.Equal(r.ResourceNames, []string{CAName}) {
			t.Error("reads every secret")
		}
	}
}

// hardened checks what both pods have in common.
func hardened(t *testing.T, pod *corev1.PodSpec, adds []corev1.Capability) {
	t.Helper()
	if pod.HostPID || pod.HostIPC || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Error("host PID, host IPC or no seccomp profile")
	}
	for _, v := range pod.Volumes {
		// The agents' file of flows alone is on the node.
		if v.HostPath != nil && (!pod.HostNetwork || v.Name != "data" || v.HostPath.Path != "/var/lib/netpol") {
			t.Errorf("volume %s is a path of the host", v.Name)
		}
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if *s.Privileged || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem {
			t.Errorf("container %s: %+v", c.Name, s)
		}
		if !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || !slices.Equal(s.Capabilities.Add, adds) {
			t.Errorf("container %s: capabilities %+v", c.Name, s.Capabilities)
		}
		if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
			t.Errorf("container %s: memory is not bounded", c.Name)
		}
		if !slices.Contains(c.Args, "--data=/var/lib/netpol") || !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == "data" && m.MountPath == "/var/lib/netpol" && !m.ReadOnly
		}) {
			t.Errorf("container %s: flows are not kept", c.Name)
		}
		if c.LivenessProbe == nil || c.ReadinessProbe == nil {
			t.Errorf("container %s: no probes", c.Name)
		}
	}
}

func TestTheAgentsPod(t *testing.T) {
	d := object[appsv1.DaemonSet](t, objects(t, nil), "DaemonSet", AgentName)
	pod := &d.Spec.Template.Spec
	hardened(t, pod, []corev1.Capability{"NET_ADMIN"})
	if !pod.HostNetwork || pod.PriorityClassName != "system-node-critical" {
		t.Error("host network or priority")
	}
	if diff := cmp.Diff([]corev1.Toleration{{Operator: corev1.TolerationOpExists}}, pod.Tolerations); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, p := range []*corev1.Probe{pod.Containers[0].StartupProbe, pod.Containers[0].LivenessProbe, pod.Containers[0].ReadinessProbe} {
		if p.HTTPGet.Host != "127.0.0.1" || p.HTTPGet.Port.IntValue() != 9469 {
			t.Errorf("probe at %v", p.HTTPGet)
		}
	}
	args := []string{"agent", "--node=$(NODE_NAME)", "--flows-server=netpol-system/netpol-flows", "--http=127.0.0.1:9469", "--log-level=info", "--data=/var/lib/netpol"}
	if diff := cmp.Diff(args, pod.Containers[0].Args); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if pod.Containers[0].Image != Repository+":"+Release {
		t.Errorf("image %s", pod.Containers[0].Image)
	}
}

// With the plugin the agent's own container gets the socket's directory and
// nothing else of the node; what writes the others has no capability.
func TestTheAgentsPodWithTheCNIPlugin(t *testing.T) {
	const bin, conf = "/var/lib/k3s/bin", "/var/lib/k3s/net.d"
	list := objects(t, func(v *Values) { v.Agent.CNI = CNI{Enabled: true, BinDir: bin, ConfDir: conf} })
	pod := object[appsv1.DaemonSet](t, list, "DaemonSet", AgentName).Spec.Template.Spec
	paths := map[string]string{}
	for _, v := range pod.Volumes {
		if v.HostPath != nil && v.Name != "data" { // which it has anyway
			paths[v.Name] = v.HostPath.Path
		}
	}
	if diff := cmp.Diff(map[string]string{"run": "/run/netpol", "cni-bin": bin, "cni-conf": conf}, paths); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	mounts := func(c corev1.Container) (out []string) {
		for _, m := range c.VolumeMounts {
			if paths[m.Name] != "" {
				out = append(out, fmt.Sprint(m.Name, " ", m.MountPath, " ", m.ReadOnly))
			}
		}
		return out
	}
	if got := mounts(pod.Containers[0]); !slices.Equal(got, []string{"run /run/netpol false"}) {
		t.Errorf("the agent has %v", got)
	}
	c := pod.Containers[1]
	if got := mounts(c); c.Name != CNIContainer || !slices.Equal(got, []string{"run /run/netpol true", "cni-bin " + bin + " false", "cni-conf " + conf + " false"}) {
		t.Errorf("%s has %v", c.Name, got)
	}
	s := c.SecurityContext
	if *s.Privileged || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
		t.Errorf("%+v", s)
	}
	role := object[rbacv1.Role](t, list, "Role", "netpol-agent-cni")
	if diff := cmp.Diff([]rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"daemonsets"}, ResourceNames: []string{AgentName}, Verbs: []string{"get"}}}, role.Rules); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// Who removes it finds the directories in the DaemonSet.
	for _, u := range list {
		if u.GetKind() == "DaemonSet" {
			if got := InstalledCNI(u); got != (CNI{true, bin, conf}) {
				t.Errorf("%+v", got)
			}
		}
	}
	for _, u := range objects(t, nil) {
		if u.GetKind() == "DaemonSet" && InstalledCNI(u).Enabled || u.GetName() == "netpol-agent-cni" {
			t.Errorf("%s %s without the plugin", u.GetKind(), u.GetName())
		}
	}
}

func TestTheFlowsServersPod(t *testing.T) {
	d := object[appsv1.Deployment](t, objects(t, nil), "Deployment", FlowsName)
	pod := &d.Spec.Template.Spec
	hardened(t, pod, nil)
	if pod.HostNetwork || !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser == 0 {
		t.Error("host network or root")
	}
	service := object[corev1.Service](t, objects(t, nil), "Service", FlowsName)
	if diff := cmp.Diff(d.Spec.Selector.MatchLabels, service.Spec.Selector); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for k, v := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[k] != v {
			t.Errorf("pods lack label %s", k)
		}
	}
}

func TestWithoutFlowsNothingIsLeftOfThem(t *testing.T) {
	list := objects(t, func(v *Values) { v.Flows.Enabled = false })
	for _, u := range list {
		data, err := json.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		if u.GetKind() != "ValidatingAdmissionPolicy" && u.GetKind() != "CustomResourceDefinition" && bytes.Contains(data, []byte("netpol-flows")) {
			t.Errorf("%s %s speaks of the flows server", u.GetKind(), u.GetName())
		}
	}
	object[appsv1.DaemonSet](t, list, "DaemonSet", AgentName)
}

func TestSettingsArrive(t *testing.T) {
	list := objects(t, func(v *Values) {
		if err := v.Merge([]byte(`
image: registry.example/netpol@sha256:` + strings.Repeat("a", 64) + `
imagePullSecrets: [{name: pull}]
logLevel: debug
agent: {exposeMetrics: true, extraArgs: [--interface-prefix=cali], nodeSelector: {pool: "1"}}
flows: {data: {emptyDir: null, persistentVolumeClaim: {claimName: kept}}, groups: ["dev's", ops], tolerations: [{key: infra, operator: Exists}], resources: {limits: {cpu: "2"}}}
`)); err != nil {
			t.Fatal(err)
		}
	})
	d := object[appsv1.DaemonSet](t, list, "DaemonSet", AgentName).Spec.Template.Spec
	if got := d.Containers[0].Args; !slices.Equal(got[3:], []string{"--http=:9469", "--log-level=debug", "--data=/var/lib/netpol", "--interface-prefix=cali"}) {
		t.Errorf("arguments %v", got)
	}
	if d.NodeSelector["pool"] != "1" || d.NodeSelector["kubernetes.io/os"] != "linux" || d.ImagePullSecrets[0].Name != "pull" {
		t.Errorf("%v %v", d.NodeSelector, d.ImagePullSecrets)
	}
	f := object[appsv1.Deployment](t, list, "Deployment", FlowsName).Spec.Template.Spec
	if v := f.Volumes[0]; v.EmptyDir != nil || v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != "kept" {
		t.Errorf("volume %+v", v)
	}
	limits := f.Containers[0].Resources.Limits
	if f.Tolerations[0].Key != "infra" || limits.Cpu().String() != "2" || limits.Memory().String() != "512Mi" {
		t.Errorf("%v %v", f.Tolerations, limits)
	}
	binding := object[rbacv1.RoleBinding](t, list, "RoleBinding", "netpol-flows-connect")
	if len(binding.Subjects) != 2 || binding.Subjects[0].Name != "dev's" || binding.Subjects[1].Name != "ops" {
		t.Errorf("%v", binding.Subjects)
	}
}

// The flows server's volume is a claim that is made, if a size is given.
func TestStorageOfTheFlowsServer(t *testing.T) {
	set := func(text string) []*unstructured.Unstructured {
		return objects(t, func(v *Values) {
			if err := v.Merge([]byte(text)); err != nil {
				t.Fatal(err)
			}
		})
	}
	volume := func(list []*unstructured.Unstructured) corev1.Volume {
		v := object[appsv1.Deployment](t, list, "Deployment", FlowsName).Spec.Template.Spec.Volumes
		if len(v) != 1 || v[0].Name != "data" {
			t.Fatalf("volumes %+v", v)
		}
		return v[0]
	}
	claims := func(list []*unstructured.Unstructured) int {
		return len(slices.DeleteFunc(slices.Clone(list), func(u *unstructured.Unstructured) bool { return u.GetKind() != "PersistentVolumeClaim" }))
	}
	list := objects(t, nil)
	if claims(list) != 0 || volume(list).EmptyDir == nil {
		t.Errorf("by default: %d claims, %+v", claims(list), volume(list))
	}
	list = set(`flows: {storage: {size: 8Gi}}`)
	claim := object[corev1.PersistentVolumeClaim](t, list, "PersistentVolumeClaim", ClaimName)
	if claim.Spec.StorageClassName != nil || claim.Spec.Resources.Requests.Storage().String() != "8Gi" || claim.Spec.AccessModes[0] != corev1.ReadWriteOnce {
		t.Errorf("the default class: %+v", claim.Spec)
	}
	if v := volume(list); v.EmptyDir != nil || v.PersistentVolumeClaim == nil || v.PersistentVolumeClaim.ClaimName != ClaimName {
		t.Errorf("%+v", v)
	}
	claim = object[corev1.PersistentVolumeClaim](t, set(`flows: {storage: {size: 8Gi, class: fast}}`), "PersistentVolumeClaim", ClaimName)
	if c := claim.Spec.StorageClassName; c == nil || *c != "fast" {
		t.Errorf("class %v", c)
	}
	if n := claims(set(`flows: {enabled: false, storage: {size: 8Gi}}`)); n != 0 {
		t.Errorf("without a flows server: %d claims", n)
	}
}

func TestSettingsThatCantBe(t *testing.T) {
	for text, says := range map[string]string{
		`image: "no tag"`:            "image",
		`imagePullPolicy: Sometimes`: "imagePullPolicy",
		`logLevel: loud`:             "logLevel",
		`flows: {data: {emptyDir: null, persistentVolumeClaim: {claimName: kept}}, groups: [""]}`: "flows.groups",
		`flows: {storage: {size: much}}`:                                              "flows.storage.size",
		`flows: {storage: {size: "-1Gi"}}`:                                            "flows.storage.size",
		`flows: {storage: {class: fast}}`:                                             "flows.storage.size",
		`flows: {storage: {size: 1Gi, class: "a b"}}`:                                 "flows.storage.class",
		`flows: {data: {emptyDir: null, hostPath: {path: /x}}, storage: {size: 1Gi}}`: "only one of them",
		`agent: {extraArgs: [x]}`:                                                     "agent.extraArgs",
		`agent: {resource: {}}`:                                                       `unknown field "resource"`,
		`flows: {enabled: maybe}`:                                                     "enabled",
		`imagePullSecrets: [{nam: x}]`:                                                "imagePullSecrets",
		`agent: {cni: {binDir: x}}`:                                                   "agent.cni.binDir",
		`agent: {cni: {confDir: /}}`:                                                  "agent.cni.confDir",
		`agent: {cni: {binDir: /a/../b}}`:                                             "agent.cni.binDir",
		`agent: {cni: {binDir: /a b}}`:                                                "agent.cni.binDir",
		`agent: {cni: {binDir: /x/y, confDir: /x/y}}`:                                 "both /x/y",
		`agent: {cni: {enabled: true, directory: /x}}`:                                `unknown field "directory"`,
	} {
		v, err := Defaults(Release)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Merge([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want an error about %s", text, err, says)
		}
	}
}

// The files of deploy/ are what make generate writes, all of it and nothing else.
func TestDeployIsNotStale(t *testing.T) {
	want, err := Files()
	if err != nil {
		t.Fatal(err)
	}
	const root = "../../deploy"
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || strings.HasPrefix(filepath.ToSlash(name), "krew/") {
			return err
		}
		name = filepath.ToSlash(name)
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, known := want[name]
		if !known {
			t.Errorf("deploy/%s: nothing writes it", name)
		} else if !bytes.Equal(data, text) {
			t.Errorf("deploy/%s is stale: make generate", name)
		}
		delete(want, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("deploy/%s is missing: make generate", name)
	}
}
