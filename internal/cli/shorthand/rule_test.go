package shorthand

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestRule(t *testing.T) {
	for _, tc := range []struct {
		text string
		dir  policy.Direction
		want string
	}{
		{"allow", policy.Ingress, "{action: Allow}"},
		{"DENY tcp", policy.Ingress, "{action: Deny, protocol: TCP}"},
		{"allow tcp:5432 from app == 'worker' || app == 'result'", policy.Ingress,
			"{action: Allow, protocol: TCP, source: {selector: \"app == 'worker' || app == 'result'\"}, destination: {ports: [5432]}}"},
		{"allow tcp:80,443,8000:8080,9000-9001", policy.Ingress, "{action: Allow, protocol: TCP, destination: {ports: [80, 443, '8000:8080', '9000:9001']}}"},
		{"allow udp:53 to k8s-app == 'kube-dns' in ns kube-system", policy.Egress,
			"{action: Allow, protocol: UDP, destination: {ports: [53], selector: \"k8s-app == 'kube-dns'\", namespaceSelector: \"kubernetes.io/metadata.name == 'kube-system'\"}}"},
		{"allow from app in {'a', 'b'} in ns x, y", policy.Ingress,
			"{action: Allow, source: {selector: \"app in {'a', 'b'}\", namespaceSelector: \"kubernetes.io/metadata.name in {'x', 'y'}\"}}"},
		{"pass to ns shop", policy.Egress, "{action: Pass, destination: {namespaceSelector: \"kubernetes.io/metadata.name == 'shop'\"}}"},
		{"log from ns-selector env == 'prod'", policy.Ingress, "{action: Log, source: {namespaceSelector: \"env == 'prod'\"}}"},
		{"allow icmp from anywhere", policy.Ingress, "{action: Allow, protocol: ICMP}"},
		{"deny 47 to cidr 10.0.0.0/8, 2001:db8::1", policy.Egress, "{action: Deny, protocol: 47, destination: {nets: [10.0.0.0/8, '2001:db8::1/128']}}"},
		{"allow from ns == 'x'", policy.Ingress, "{action: Allow, source: {selector: \"ns == 'x'\"}}"},
		{"allow from ns in {'x'}", policy.Ingress, "{action: Allow, source: {selector: \"ns in {'x'}\"}}"},
		{"allow from cidr == 'x'", policy.Ingress, "{action: Allow, source: {selector: \"cidr == 'x'\"}}"},
		{"  allow   tcp:1   from   has(a)  ", policy.Ingress, "{action: Allow, protocol: TCP, source: {selector: has(a)}, destination: {ports: [1]}}"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			got, err := Rule(tc.text, tc.dir)
			if err != nil {
				t.Fatal(err)
			}
			gotJSON, _ := yaml.Marshal(got)
			var want map[string]any
			if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			wantJSON, _ := yaml.Marshal(want)
			if d := cmp.Diff(string(wantJSON), string(gotJSON)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRuleTellsWhereItIsWrong(t *testing.T) {
	for _, tc := range []struct {
		text   string
		dir    policy.Direction
		column int
		says   string
	}{
		{"", policy.Ingress, 1, "expected allow, deny, pass or log, found the end"},
		{"permit tcp", policy.Ingress, 1, `found "permit"`},
		{"allow tpc:80", policy.Ingress, 7, `found "tpc"`},
		{"allow 256", policy.Ingress, 7, "1 to 255"},
		{"allow icmp:8", policy.Ingress, 11, "icmp has no ports"},
		{"allow tcp:70000", policy.Ingress, 11, "port 70000 is out of range"},
		{"allow tcp:0-80", policy.Ingress, 11, "port 0 is out of range, expected 1 to 65535"},
		{"allow tcp:80,99999999999999999999", policy.Ingress, 14, "out of range"},
		{"allow tcp:80,http", policy.Ingress, 14, `found "http"`},
		{"allow tcp:", policy.Ingress, 11, "found the end"},
		{"allow tcp:90:80", policy.Ingress, 11, "lower to the higher"},
		{"allow tcp:80 to app == 'x'", policy.Ingress, 14, `expected from and the peer, found "to"`},
		{"allow tcp:80 from app == 'x'", policy.Egress, 14, `expected to and the peer, found "from"`},
		{"allow tcp:80 app == 'x'", policy.Ingress, 14, "expected from"},
		{"allow from", policy.Ingress, 11, "expected a selector"},
		{"allow from app = 'x'", policy.Ingress, 16, "expected"},
		{"allow from app == 'x", policy.Ingress, 21, "the string starts at column 19"},
		{"allow from cidr 10.0.0.1/8", policy.Ingress, 17, "did you mean 10.0.0.0/8?"},
		{"allow from cidr 10.0.0.0/8, ten", policy.Ingress, 29, "expected a CIDR"},
	} {
		t.Run(tc.text, func(t *testing.T) {
			got, err := Rule(tc.text, tc.dir)
			var wrong *Error
			if !errors.As(err, &wrong) {
				t.Fatalf("got %v, %v", got, err)
			}
			if wrong.Column != tc.column || !strings.Contains(wrong.Reason, tc.says) {
				t.Errorf("got column %d: %s", wrong.Column, wrong.Reason)
			}
		})
	}
}
