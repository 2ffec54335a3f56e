package lab_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// everyKind are manifests of every kind that policies speak of.
const everyKind = `apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: shop, labels: {team: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: shop}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata:
      labels: {app: client}
      annotations: {netpol.dev/connect: "web:80", netpol.dev/every: 100ms}
    spec:
      serviceAccountName: robot
      containers: [{name: c, image: x}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: proxy, image: x, restartPolicy: Always, ports: [{name: admin, containerPort: 9901}]}
      containers:
      - name: c
        image: x
        ports:
        - {name: http, containerPort: 8080}
        - {name: web, containerPort: 8080}
        - {name: signal, containerPort: 2905, protocol: SCTP}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: web}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec: {podSelector: {matchLabels: {app: nobody}}}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  order: 10
  selector: app == 'web'
  ingress:
  - {action: Log}
  - action: Allow
    protocol: TCP
    source: {serviceAccounts: {names: [robot], selector: team == 'shop'}}
    destination: {ports: [http]}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: printers, namespace: shop, labels: {kind: printer}}
spec: {nets: [192.0.2.0/28]}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkSet
metadata: {name: outside}
spec: {nets: [198.51.100.0/24]}
---
apiVersion: projectcalico.org/v3
kind: HostEndpoint
metadata: {name: node-eth0}
spec: {node: lab-node, interfaceName: eth0, expectedIPs: [10.255.255.1]}
---
apiVersion: projectcalico.org/v3
kind: StagedKubernetesNetworkPolicy
metadata: {name: later, namespace: shop}
spec: {stagedAction: Set, podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}
`

// A lab runs what manifests of every kind say; Log rules write where lab status
// says, with the prefix that lab up was given.
func TestLabOfEveryKind(t *testing.T) {
	u := newUser(t)
	manifest := filepath.Join(t.TempDir(), "shop.yaml")
	if err := os.WriteFile(manifest, []byte(everyKind), 0o600); err != nil {
		t.Fatal(err)
	}
	out := u.netpol("lab", "up", "-f", manifest, "--log-prefix", "shop-packet")
	if !strings.Contains(out, "nobody listens on 2905/SCTP") {
		t.Errorf("it is not said that nobody listens to SCTP:\n%s", out)
	}
	u.reached()
	s := u.status()
	for _, p := range s.Pods {
		if p.Workload.Name == "web" && len(p.Ports) != 3 {
			t.Errorf("web listens on %+v", p.Ports)
		}
	}
	var lines []byte
	await(t, "the line of the Log rule", func() bool {
		var err error
		lines, err = os.ReadFile(s.LogLines)
		return err == nil && strings.Contains(string(lines), "\n")
	})
	line, _, _ := strings.Cut(string(lines), "\n")
	if !strings.Contains(line, " shop-packet: IN=") || !strings.Contains(line, " DPT=8080 DIR=ingress TIER=default KIND=NetworkPolicy NAMESPACE=shop POLICY=web RULE=0") {
		t.Errorf("it says %q", line)
	}
	if text := u.netpol("lab", "status"); !strings.Contains(text, "what Log rules saw: "+s.LogLines) {
		t.Errorf("lab status does not name the file:\n%s", text)
	}
	await(t, "flows to tell the Log rule", func() bool {
		var flows struct {
			Items []struct {
				Logs []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(u.netpol("flows", "--to", "shop/web", "-o", "json")), &flows); err != nil {
			t.Fatal(err)
		}
		for _, f := range flows.Items {
			if len(f.Logs) == 1 && f.Logs[0].Name == "web" {
				return true
			}
		}
		return false
	})
	u.netpol("probe", "--from", "client", "--to", "web", "--port", "8080", "--expect", "allow")
	u.netpol("lab", "down")
}
