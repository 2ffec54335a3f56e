// Package helm_test holds the chart to what Helm says of it, and to what netpol
// install prints for the same settings.
package helm_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const chart = "../../deploy/helm/netpol"

// helm runs the pinned Helm and gives its standard output.
func helm(t *testing.T, args ...string) ([]byte, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command("go", append([]string{"tool", "helm"}, args...)...)
	cmd.Env = append(os.Environ(), "HELM_CONFIG_HOME="+home, "HELM_CACHE_HOME="+home, "HELM_DATA_HOME="+home, "KUBECONFIG="+filepath.Join(home, "none"))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Logf("helm %s: %v\n%s%s", strings.Join(args, " "), err, out, errs.String())
	}
	return out, err
}

func TestLint(t *testing.T) {
	if _, err := helm(t, "lint", "--strict", "--kube-version", "1.37", chart); err != nil {
		t.Fatal(err)
	}
}

// settings are values to try, by what they are about.
var settings = map[string]string{
	"nothing changed":  "{}",
	"no flows server":  "flows: {enabled: false}",
	"the CNI plugin":   "agent: {cni: {enabled: true, confDir: /var/lib/net.d}}",
	"storage":          "flows: {storage: {size: 8Gi, class: fast}}",
	"default storage":  "flows: {storage: {size: 8Gi}}",
	"storage of none":  "flows: {enabled: false, storage: {size: 8Gi}}",
	"no namespace":     "namespace: {create: false}",
	"image":            "{image: 'registry.example/netpol:v2', imagePullPolicy: Always, imagePullSecrets: [{name: pull}]}",
	"groups":           "flows: {groups: [developers, \"o'neil: \\\"x\\\"\"]}",
	"metrics and logs": "{logLevel: debug, agent: {exposeMetrics: true, extraArgs: ['--interface-prefix=cali', '--established=keep']}}",
	"resources": "{agent: {resources: {requests: {cpu: 1}, limits: {memory: null}}}," +
		" flows: {resources: {limits: {cpu: 500m}}, extraArgs: ['--x=1']}}",
	"where pods run": "{agent: {nodeSelector: {pool: 'true'}, tolerations: []}," +
		" flows: {nodeSelector: {pool: '1'}, tolerations: [{key: infra, operator: Exists, effect: NoSchedule}]}}",
}

func TestChartIsWhatInstallApplies(t *testing.T) {
	netpol := os.Getenv("NETPOL_BIN")
	if netpol == "" {
		t.Skip("$NETPOL_BIN is not set (make deploy-check sets it)")
	}
	for about, text := range settings {
		t.Run(about, func(t *testing.T) {
			values := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(values, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			chart, err := helm(t, "template", "netpol", chart, "--include-crds", "--kube-version", "1.37", "-f", values)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(netpol, "install", "--dry-run=client", "-o", "yaml", "--values", values)
			cmd.Env = []string{"HOME=" + t.TempDir(), "NETPOL_CONFIG="}
			var errs bytes.Buffer
			cmd.Stderr = &errs
			own, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, errs.String())
			}
			if diff := cmp.Diff(objects(t, own), objects(t, chart)); diff != "" {
				t.Errorf("-install +chart:\n%s", diff)
			}
		})
	}
}

func TestSchemaRefuses(t *testing.T) {
	for about, set := range map[string]string{
		"an unknown setting": "agent.resorces.x=1", "a log level": "logLevel=loud", "a policy of pulls": "imagePullPolicy=Never2",
		"no image": "image=", "an argument": "agent.extraArgs={x}",
		"a size": "flows.storage.size=much", "a class of no claim": "flows.storage.class=fast",
		"two volumes": "flows.storage.size=8Gi,flows.data.emptyDir=null,flows.data.hostPath.path=/x",
	} {
		if out, err := helm(t, "template", "netpol", chart, "--kube-version", "1.37", "--set", set); err == nil {
			t.Errorf("%s: --set %s renders\n%.200s", about, set, out)
		}
	}
}

func TestOldServersAreRefused(t *testing.T) {
	if _, err := helm(t, "template", "netpol", chart, "--kube-version", "1.29"); err == nil {
		t.Error("Kubernetes 1.29 has no ValidatingAdmissionPolicy v1")
	}
}

var separator = regexp.MustCompile(`(?m)^---$`)

// objects are those of a stream of YAML by kind, namespace and name.
func objects(t *testing.T, text []byte) map[string]any {
	t.Helper()
	out := map[string]any{}
	for _, doc := range separator.Split(string(text), -1) {
		var object map[string]any
		if err := yaml.Unmarshal([]byte(doc), &object); err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if len(object) == 0 {
			continue
		}
		meta, _ := object["metadata"].(map[string]any)
		id, _ := object["kind"].(string)
		for _, part := range []string{"namespace", "name"} {
			s, _ := meta[part].(string)
			id += "/" + s
		}
		if _, twice := out[id]; twice {
			t.Errorf("%s twice", id)
		}
		out[id] = object
	}
	if len(out) < 10 {
		t.Errorf("only %d objects", len(out))
	}
	return out
}
