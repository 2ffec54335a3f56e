package calico

import (
	"testing"
)

func TestDecide(t *testing.T) {
	node := []Agent{{Namespace: System, Name: "calico-node", Image: "quay.io/calico/node:v3.30.3", Wanted: 3, Ready: 3}}
	both, public := []string{"apps", storedGroup, publicGroup}, []string{"apps", publicGroup}
	own := []string{"networkpolicies", "tiers", "felixconfigurations", "ippools"}
	netpols := []string{"networkpolicies", "tiers"}
	for name, c := range map[string]struct {
		facts    Facts
		found    bool
		enforces bool
		api      API
		version  string
		naming   Naming
		readOnly bool
	}{
		"no Calico":                     {Facts{Groups: []string{"apps"}}, false, false, NoAPI, "of unknown version", Prefixed, false},
		"netpol's own definitions":      {Facts{Groups: public, Public: netpols, APIServiceRead: true}, false, false, NoAPI, "of unknown version", Prefixed, false},
		"an API server":                 {Facts{Groups: both, Public: own, APIServiceRead: true, Service: "calico-apiserver/calico-api", CalicoVersion: "v3.31.2", Agents: node}, true, true, Aggregated, "v3.31.2", Prefixed, false},
		"native definitions":            {Facts{Groups: public, Public: own, APIServiceRead: true, CalicoVersion: "v3.32.0", Agents: node}, true, true, Native, "v3.32.0", Free, false},
		"native, version not told":      {Facts{Groups: public, Public: own, APIServiceRead: true, Agents: []Agent{{Image: "x"}}}, true, true, Native, "v3.32.0", Free, false},
		"no API server":                 {Facts{Groups: []string{storedGroup}, APIServiceRead: true, CalicoVersion: "v3.29.1", Agents: node}, true, true, Stored, "v3.29.1", PrefixedAll, true},
		"netpol's definitions beside":   {Facts{Groups: both, Public: netpols, APIServiceRead: true, CalicoVersion: "v3.31.0", Agents: node}, true, true, Stored, "v3.31.0", Prefixed, true},
		"its API server is down":        {Facts{Groups: []string{storedGroup}, APIServiceRead: true, Service: "a/b", Trouble: "MissingEndpoints: x", Agents: node}, true, true, Down, "v3.30.3", Prefixed, true},
		"policies in another datastore": {Facts{Groups: []string{"apps"}, Agents: node}, true, true, NoAPI, "v3.30.3", Prefixed, true},
		"the APIService can't be read":  {Facts{Groups: both, Public: own, OperatorVersion: "v3.31.1", Agents: node, Denied: []string{"get apiservices.apiregistration.k8s.io/v3.projectcalico.org"}}, true, true, Aggregated, "v3.31.1", Prefixed, false},
		"nor anything else":             {Facts{Groups: both, Public: own, Denied: []string{"get daemonsets.apps/calico-node -n calico-system"}}, true, true, Aggregated, "of unknown version", Prefixed, false},
		"left over from a former one":   {Facts{Groups: []string{storedGroup}, APIServiceRead: true, CalicoVersion: "v3.28.0"}, true, false, Stored, "v3.28.0", NoTiers, true},
		"the version of the image":      {Facts{Groups: both, Public: own, APIServiceRead: true, Service: "a/b", Agents: node}, true, true, Aggregated, "v3.30.3", Prefixed, false},
		"Enterprise":                    {Facts{Groups: both, Public: own, APIServiceRead: true, Service: "a/b", CalicoVersion: "v3.31.0", EnterpriseVersion: "v3.22.0-1.0", Agents: node}, true, true, Aggregated, "v3.22.0", PrefixedAll, false},
	} {
		got := Decide(&c.facts)
		if got.Found != c.found || got.Enforces() != c.enforces || got.API != c.api || got.Version.String() != c.version || got.Version.Naming() != c.naming {
			t.Errorf("%s: %+v, naming %d", name, got, got.Version.Naming())
		}
		if why, try := got.ReadOnly(); c.found && ((why != "") != c.readOnly || (try != "") != c.readOnly) {
			t.Errorf("%s: read only: %q, %q", name, why, try)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"v3.31.2": "v3.31.2", "3.32": "v3.32.0", "v3.32.0-0.dev-12-gabc": "v3.32.0", "v3.22.0-1.0": "v3.22.0",
		"": "", "master": "", "v3": "", "v3.x.1": "", "v3.1.2.3": "", "v3.-1": "",
	} {
		v, ok := ParseVersion(text)
		if ok != (want != "") || ok && v.String() != want {
			t.Errorf("%q: %v %v", text, v, ok)
		}
	}
	for image, want := range map[string]string{
		"docker.io/calico/node:v3.30.1": "v3.30.1", "localhost:5000/calico/node:v3.31.0@sha256:abc": "v3.31.0", "calico/node": "", "calico/node@sha256:abc": "",
		"localhost:5000/calico/node": "",
	} {
		v, ok := imageVersion(image)
		if ok != (want != "") || ok && v.String() != want {
			t.Errorf("%q: %v %v", image, v, ok)
		}
	}
	for text, want := range map[string]Naming{
		"v3.28.5": NoTiers, "v3.29.0": PrefixedAll, "v3.29.3": PrefixedAll, "v3.29.4": Prefixed, "v3.30.0": Prefixed, "v3.31.9": Prefixed, "v3.32.0": Free, "v4.0.0": Free,
	} {
		if v, _ := ParseVersion(text); v.Naming() != want {
			t.Errorf("%s: %d", text, v.Naming())
		}
	}
}
