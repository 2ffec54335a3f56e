package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/stage"
)

// factsWorld is a Prometheus, a pod that serves metrics, and its Services.
const factsWorld = `
{apiVersion: v1, kind: Namespace, metadata: {name: ops}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: vote}}
---
{apiVersion: v1, kind: Pod, metadata: {name: prom, namespace: ops, labels: {app: prometheus}}, spec: {containers: [{name: c, image: c}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: vote, labels: {app: web}}, spec: {containers: [{name: c, image: c, ports: [{name: metrics, containerPort: 9090}]}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: vote, labels: {app: web}}, spec: {selector: {app: web}, ports: [{name: http-metrics, port: 80, targetPort: metrics}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: outside, namespace: vote, labels: {app: outside}}, spec: {ports: [{name: other, port: 80}]}}
`

// What the API server calls is read from every kind that says so.
func TestFactsOfCalls(t *testing.T) {
	facts := factsOf(t, `
{apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: v}, webhooks: [{name: a, clientConfig: {service: {namespace: ops, name: hook, port: 8443}}}, {name: b, clientConfig: {url: "https://example.org"}}]}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: m}, webhooks: [{name: a, clientConfig: {service: {namespace: ops, name: hook}}}]}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: crontabs.example.org}, spec: {conversion: {strategy: Webhook, webhook: {clientConfig: {service: {namespace: ops, name: convert}}}}}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: plain.example.org}, spec: {conversion: {strategy: None}}}
---
{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1beta1.metrics.k8s.io}, spec: {service: {namespace: kube-system, name: metrics-server, port: 443}}}
---
{apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {name: v1.apps}, spec: {}}
`)
	want := []stage.Call{
		{Who: "ValidatingWebhookConfiguration v", Namespace: "ops", Service: "hook", Port: 8443},
		{Who: "MutatingWebhookConfiguration m", Namespace: "ops", Service: "hook", Port: 443},
		{Who: "CustomResourceDefinition crontabs.example.org", Namespace: "ops", Service: "convert", Port: 443},
		{Who: "APIService v1beta1.metrics.k8s.io", Namespace: "kube-system", Service: "metrics-server", Port: 443},
	}
	if !slices.Equal(facts.Calls, want) || len(facts.NotChecked) > 0 {
		t.Errorf("got %+v, not checked %v", facts.Calls, facts.NotChecked)
	}
}

// What Prometheus collects from is read from its operator's monitors, and from
// the annotations that many configurations go by.
func TestFactsOfScrapes(t *testing.T) {
	service := func(name, annotations string) string {
		return "{apiVersion: v1, kind: Service, metadata: {name: " + name + ", namespace: vote, annotations: {" + annotations + "}}, spec: {selector: {app: web}, ports: [{name: a, port: 80}, {name: b, port: 81}]}}"
	}
	monitor := func(kind, spec string) string {
		return "{apiVersion: monitoring.coreos.com/v1, kind: " + kind + ", metadata: {name: m, namespace: vote}, spec: {" + spec + "}}"
	}
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"annotated pod": {`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: vote, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "9100"}}, spec: {containers: [{name: c, image: c}]}}`,
			[]string{"annotation prometheus.io/scrape vote pod=a service= selector= port=9100 name="}},
		"annotated pod without a port": {`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: vote, annotations: {prometheus.io/scrape: "true"}}, spec: {containers: [{name: c, image: c}]}}`,
			[]string{"annotation prometheus.io/scrape vote pod=a service= selector= port=0 name="}},
		"not to be scraped": {`{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: vote, annotations: {prometheus.io/scrape: "false", prometheus.io/port: "9100"}}, spec: {containers: [{name: c, image: c}]}}`, nil},
		"annotated template": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: d, namespace: vote}, spec: {selector: {matchLabels: {app: d}}, template: {metadata: {labels: {app: d}, annotations: {prometheus.io/scrape: "true", prometheus.io/port: "1"}}, spec: {containers: [{name: c, image: c}]}}}}`,
			[]string{"annotation prometheus.io/scrape vote pod=d service= selector= port=1 name="}},
		"annotated Service": {service("s", `prometheus.io/scrape: "true"`), []string{
			"annotation prometheus.io/scrape vote pod= service=s selector= port=0 name=a", "annotation prometheus.io/scrape vote pod= service=s selector= port=0 name=b",
		}},
		"annotated Service with a port": {service("s", `prometheus.io/scrape: "true", prometheus.io/port: "9090"`),
			[]string{"annotation prometheus.io/scrape vote pod= service= selector=app=web port=9090 name="}},
		"PodMonitor": {monitor("PodMonitor", "selector: {matchLabels: {app: web}}, podMetricsEndpoints: [{port: metrics}, {portNumber: 1234}]"), []string{
			"PodMonitor m vote pod= service= selector=app=web port=0 name=metrics", "PodMonitor m vote pod= service= selector=app=web port=1234 name=",
		}},
		"PodMonitor by expressions": {monitor("PodMonitor", "selector: {matchExpressions: [{key: app, operator: NotIn, values: [db]}]}, podMetricsEndpoints: [{port: metrics}]"),
			[]string{"PodMonitor m vote pod= service= selector=app notin (db) port=0 name=metrics"}},
		"PodMonitor of other namespaces": {monitor("PodMonitor", "namespaceSelector: {matchNames: [ops, vote]}, selector: {}, podMetricsEndpoints: [{port: x}]"), []string{
			"PodMonitor m ops pod= service= selector= port=0 name=x", "PodMonitor m vote pod= service= selector= port=0 name=x",
		}},
		"PodMonitor of every namespace": {monitor("PodMonitor", "namespaceSelector: {any: true}, selector: {}, podMetricsEndpoints: [{port: x}]"), []string{
			"PodMonitor m ops pod= service= selector= port=0 name=x", "PodMonitor m vote pod= service= selector= port=0 name=x",
		}},
		"ServiceMonitor": {monitor("ServiceMonitor", "selector: {matchLabels: {app: web}}, endpoints: [{port: http-metrics}]"),
			[]string{"ServiceMonitor m vote pod= service=web selector= port=0 name=http-metrics"}},
		"ServiceMonitor by the pods' port": {monitor("ServiceMonitor", "selector: {matchLabels: {app: web}}, endpoints: [{targetPort: 9090}, {targetPort: metrics}]"), []string{
			"ServiceMonitor m vote pod= service= selector=app=web port=9090 name=", "ServiceMonitor m vote pod= service= selector=app=web port=0 name=metrics",
		}},
		"ServiceMonitor of what has no pods": {monitor("ServiceMonitor", "selector: {matchLabels: {app: outside}}, endpoints: [{targetPort: 9090}]"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			facts := factsOf(t, tc.text)
			for _, s := range facts.Scrapes {
				picks := ""
				if s.Selector != nil {
					picks = s.Selector.String()
				}
				got = append(got, fmt.Sprintf("%s %s pod=%s service=%s selector=%s port=%d name=%s", s.Who, s.Namespace, s.Pod, s.Service, picks, s.Port, s.PortName))
			}
			if !slices.Equal(got, tc.want) || len(facts.NotChecked) > 0 {
				t.Errorf("got %q, not checked %v", got, facts.NotChecked)
			}
		})
	}
}

func factsOf(t *testing.T, text string) *stage.Facts {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "world.yaml"), []byte(factsWorld+"---\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := cluster.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := loadWorld(t.Context(), func() (cluster.Store, error) { return d, nil })
	if err != nil {
		t.Fatal(err)
	}
	facts := &stage.Facts{}
	readFacts(t.Context(), w, facts)
	return facts
}
