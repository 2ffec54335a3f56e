package plan

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTargets(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
		err  string
	}{
		{"", nil, ""},
		{"redis:6379", []string{"redis:6379"}, ""},
		{" redis:6379, db:5432/tcp ,", []string{"redis:6379", "db:5432"}, ""},
		{"dns.kube-system:53/UDP", []string{"dns.kube-system:53/udp"}, ""},
		{"[fd00::1]:80", []string{"fd00::1:80"}, ""},
		{"redis", nil, "no port"},
		{":80", nil, "no port"},
		{"redis:0", nil, "not a number from 1 to 65535"},
		{"redis:70000", nil, "not a number from 1 to 65535"},
		{"redis:80/sctp", nil, `unknown protocol "sctp"`},
	} {
		targets, err := ParseTargets(tc.in)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q: error %v, want one with %q", tc.in, err, tc.err)
			}
			continue
		}
		var got []string
		for _, target := range targets {
			got = append(got, target.String())
		}
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%q: %q, %v; want %q", tc.in, got, err, tc.want)
		}
	}
}

func TestInterfaceNamesFitTheKernelAndDiffer(t *testing.T) {
	seen := map[string]string{}
	for i := range 5000 {
		id := "ns/pod-" + strings.Repeat("x", i%50) + string(rune('a'+i%26)) + time.Duration(i).String()
		name := interfaceName(id)
		if len(name) > 15 || !strings.HasPrefix(name, InterfacePrefix) {
			t.Fatalf("%q is no interface name of a pod", name)
		}
		if other, ok := seen[name]; ok && other != id {
			t.Fatalf("%q and %q share %q", id, other, name)
		}
		seen[name] = id
	}
}

// examples reads the manifests that come with netpol.
func examples(t *testing.T) []File {
	t.Helper()
	var files []File
	for _, pattern := range []string{"vote", "wordpress"} {
		paths, err := filepath.Glob("../../../examples/" + pattern + "/*.yaml")
		if err != nil || len(paths) == 0 {
			t.Fatalf("no examples: %v", err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, File{Name: pattern + "/" + filepath.Base(p), Given: p, Data: data})
		}
	}
	return files
}

func build(t *testing.T, files []File, ipv6 bool) *Result {
	t.Helper()
	r, err := Build(files, Options{IPv6: ipv6, Created: "2026-01-02T03:04:05Z"})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestExamplesBecomePods(t *testing.T) {
	p := build(t, examples(t), true).Plan
	got := map[string][]string{}
	for _, pod := range p.Pods {
		key := pod.Namespace + "/" + pod.Workload.Name
		got[key] = []string{}
		for _, target := range pod.Targets {
			got[key] = append(got[key], target.String())
		}
		if len(pod.Addrs) != 2 || !PodCIDR(false).Contains(pod.Addrs[0]) || !PodCIDR(true).Contains(pod.Addrs[1]) {
			t.Errorf("%s has addresses %v", key, pod.Addrs)
		}
	}
	want := map[string][]string{
		"kube-system/coredns": {}, "vote/db": {}, "vote/redis": {}, "wordpress/mysql": {},
		"vote/vote": {"redis:6379"}, "vote/worker": {"redis:6379", "db:5432"}, "vote/result": {"db:5432"},
		"wordpress/wordpress": {"mysql:3306"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	var outside []string
	for _, target := range p.Outside.Targets {
		outside = append(outside, target.Host+" "+target.String())
	}
	if diff := cmp.Diff([]string{"192.0.2.1 vote/result:31001", "192.0.2.1 vote/vote:31000"}, outside); diff != "" {
		t.Error(diff)
	}
}

func TestServicesLeadToTheirPods(t *testing.T) {
	p := build(t, examples(t), true).Plan
	used := map[string]bool{}
	for _, s := range p.Services {
		for _, a := range s.Addrs {
			if used[a.String()] {
				t.Errorf("%s is used twice", a)
			}
			used[a.String()] = true
		}
		for _, port := range s.Ports {
			if len(port.Endpoints) != 2 {
				t.Errorf("%s port %d has endpoints %v, want one of each family", s.ID(), port.Port, port.Endpoints)
			}
		}
	}
	i := slices.IndexFunc(p.Services, func(s Service) bool { return s.ID() == "kube-system/kube-dns" })
	if i < 0 || !slices.Equal(p.Services[i].Addrs, p.DNS) {
		t.Errorf("kube-dns has not the address that pods ask: %v", p.Services)
	}
}

func TestSameManifestsSamePlan(t *testing.T) {
	a, b := build(t, examples(t), true), build(t, examples(t), true)
	if diff := cmp.Diff(a.Files, b.Files); diff != "" {
		t.Error(diff)
	}
}

func TestWithoutIPv6NothingHasIPv6Addresses(t *testing.T) {
	for _, f := range build(t, examples(t), false).Files {
		if strings.Contains(string(f.Data), "fd00:") {
			t.Errorf("%s has an IPv6 address:\n%s", f.Name, f.Data)
		}
	}
}

func TestFilesKeepEveryLineOfTheirs(t *testing.T) {
	given := examples(t)
	made := build(t, examples(t), true)
	for _, g := range given {
		i := slices.IndexFunc(made.Files, func(f File) bool { return f.Name == g.Name })
		if i < 0 {
			t.Fatalf("%s is gone", g.Name)
		}
		rest := strings.Split(string(made.Files[i].Data), "\n")
		for _, line := range strings.Split(string(g.Data), "\n") {
			at := slices.Index(rest, line)
			if at < 0 {
				t.Fatalf("%s: line %q is gone or has moved", g.Name, line)
			}
			rest = rest[at+1:]
		}
	}
}

func TestReplicasGetNamesAndAddressesOfTheirOwn(t *testing.T) {
	p := build(t, []File{{Name: "a.yaml", Given: "a.yaml", Data: []byte(replicas)}}, false).Plan
	names, addrs := map[string]bool{}, map[string]bool{}
	for _, pod := range p.Pods {
		if pod.Namespace != "shop" {
			continue
		}
		names[pod.Name], addrs[pod.Addrs[0].String()] = true, true
	}
	if len(names) != 5 || len(addrs) != 5 || !names["store-0"] || !names["store-1"] {
		t.Errorf("pods %v with addresses %v", names, addrs)
	}
	i := slices.IndexFunc(p.Services, func(s Service) bool { return s.Name == "web" })
	if got := len(p.Services[i].Ports[0].Endpoints); got != 3 {
		t.Errorf("the Service has %d endpoints, want 3", got)
	}
}

const replicas = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web, ports: [{name: http, containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store, namespace: shop}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: store}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  type: NodePort # one is picked
  selector: {app: web}
  ports:
    - name: http
      port: 80
      targetPort: http
    - port: 81
      targetPort: 8080
`

func TestNodePortsAreHandedOutAndWritten(t *testing.T) {
	r := build(t, []File{{Name: "a.yaml", Given: "a.yaml", Data: []byte(replicas)}}, false)
	i := slices.IndexFunc(r.Files, func(f File) bool { return f.Name == "a.yaml" })
	text := string(r.Files[i].Data)
	for _, want := range []string{
		"    - name: http\n      nodePort: 30000\n      port: 80\n",
		"    - port: 81\n      nodePort: 30001\n",
		"  type: NodePort # one is picked\n  clusterIP: \"10.96.0.20\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	again := build(t, []File{{Name: "a.yaml", Given: "a.yaml", Data: r.Files[i].Data}}, false)
	j := slices.IndexFunc(again.Files, func(f File) bool { return f.Name == "a.yaml" })
	if string(again.Files[j].Data) != text {
		t.Errorf("a second lab from the same files changes them:\n%s", again.Files[j].Data)
	}
}

func TestBarePodGetsNodeAndStatus(t *testing.T) {
	const pod = "# mine\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n    - name: a\n      image: a\n"
	r := build(t, []File{{Name: "a.yaml", Given: "a.yaml", Data: []byte(pod)}}, true)
	i := slices.IndexFunc(r.Files, func(f File) bool { return f.Name == "a.yaml" })
	const want = "# mine\napiVersion: v1\n" +
		`status: {phase: Running, podIP: "10.244.0.2", podIPs: [{ip: "10.244.0.2"}, {ip: "fd00:10:244::2"}]}` +
		"\nkind: Pod\nmetadata:\n  name: a\nspec:\n  nodeName: lab\n  containers:\n    - name: a\n      image: a\n"
	if diff := cmp.Diff(want, string(r.Files[i].Data)); diff != "" {
		t.Error(diff)
	}
}

func TestFaultsNameFileLineAndCause(t *testing.T) {
	deployment := func(annotation string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  template:\n    metadata:\n      annotations: {" + annotation + "}\n"
	}
	service := func(spec string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  " + spec + "\n"
	}
	for name, tc := range map[string]struct{ data, want string }{
		"bad YAML":         {"a: [", "x.yaml: yaml: "},
		"not a resource":   {"\n\n- a\n", "x.yaml:3: not a Kubernetes resource"},
		"no kind":          {"apiVersion: v1\n", "apiVersion and kind are needed"},
		"no name":          {"apiVersion: v1\nkind: Pod\n", "Pod without metadata.name"},
		"a list":           {"apiVersion: v1\nkind: List\n", "---"},
		"twice":            {deployment("") + "---\n" + deployment(""), "x.yaml:9: Deployment a: given before, at x.yaml:1"},
		"bad target":       {deployment(`netpol.dev/connect: "db"`), "netpol.dev/connect: \"db\": no port"},
		"bad interval":     {deployment(`netpol.dev/every: soon`), `"soon" is not an interval`},
		"bad role":         {deployment(`netpol.dev/role: king`), `"king" is not a role`},
		"foreign address":  {service("clusterIP: 10.0.0.1"), "not in the lab's Service range 10.96.0.0/16"},
		"port range":       {service("ports: [{port: 70000}]"), "port 70000"},
		"node port range":  {service("ports: [{port: 80, nodePort: 80}]"), "30000-32767"},
		"no node port":     {"apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations: {netpol.dev/outside-client: 1s}\nspec:\n  ports:\n    - port: 80\n", "type: NodePort"},
		"flow style":       {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n", "block style"},
		"wrong type":       {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports: 80\n", "x.yaml:1: Service s: "},
		"replicas no room": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: 300}\n", "range 10.244.0.0/24 is used up"},
	} {
		_, err := Build([]File{{Name: "x.yaml", Given: "x.yaml", Data: []byte(tc.data)}}, Options{IPv6: true})
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
	}
}

func TestKindsThatTheLabDoesNotRunAreNoted(t *testing.T) {
	const job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\n"
	p := build(t, []File{{Name: "j.yaml", Given: "j.yaml", Data: []byte(job)}}, false).Plan
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], "Job default/j") {
		t.Errorf("notes %q", p.Notes)
	}
}

func TestServiceWithoutSelectorLeadsWhereItsSlicesSay(t *testing.T) {
	result, err := Build([]File{{Name: "x.yaml", Given: "x.yaml", Data: []byte(`apiVersion: v1
kind: Service
metadata: {name: legacy, namespace: shop}
spec: {clusterIP: 10.96.0.77, ports: [{name: sql, port: 5432}, {name: admin, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: legacy-1, namespace: shop, labels: {kubernetes.io/service-name: legacy}}
addressType: IPv4
ports: [{name: sql, port: 15432}, {name: other, port: 1}]
endpoints:
- {addresses: [192.0.2.5]}
- {addresses: [192.0.2.6], conditions: {ready: false}}
`)}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range result.Plan.Services {
		if s.Name != "legacy" {
			continue
		}
		if len(s.Ports) != 2 || len(s.Ports[0].Endpoints) != 1 || s.Ports[0].Endpoints[0].String() != "192.0.2.5:15432" || len(s.Ports[1].Endpoints) > 0 {
			t.Errorf("got %+v", s)
		}
		return
	}
	t.Error("there is no Service legacy")
}
