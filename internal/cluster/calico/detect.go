// Package calico is a cluster on which Calico enforces: whether it is there, how
// its version names policies, and how its flows are reached.
//
// What decides is pure; facts.go alone asks the API server.
package calico

import (
	"fmt"
	"slices"
	"strings"
)

// The groups of Calico's resources.
const (
	publicGroup = "projectcalico.org"
	storedGroup = "crd.projectcalico.org"
)

// Facts are what a cluster says that tells of Calico. What may not be read is in
// Denied, and left empty.
type Facts struct {
	// Groups are the API groups that are served.
	Groups []string
	// Public are the resources of projectcalico.org/v3.
	Public []string
	// Service is the Service that answers for projectcalico.org/v3
	// (namespace/name), empty for CustomResourceDefinitions; Trouble is why it
	// does not answer.
	Service, Trouble string
	// APIServiceRead: Service is known, empty or not.
	APIServiceRead bool
	// CalicoVersion and EnterpriseVersion are of ClusterInformation default,
	// OperatorVersion of Installation default.
	CalicoVersion, EnterpriseVersion, OperatorVersion string
	// Agents are the DaemonSets that run calico-node.
	Agents []Agent
	// Operator is the Deployment of Calico's operator (namespace/name), if it was
	// looked for.
	Operator string
	// Goldmane is its Service, if there is one.
	Goldmane *Service
	// Denied are the rights that are missing, as kubectl auth can-i takes them.
	Denied []string
}

// Agent is a DaemonSet that runs calico-node.
type Agent struct {
	Namespace, Name, Image string
	Wanted, Ready          int
}

// Service is where a Service is, and the port of its pods.
type Service struct {
	Namespace, Name string
	Port            int
}

// API is how a cluster serves projectcalico.org/v3.
type API int

// The ways to serve it.
const (
	// NoAPI: not at all.
	NoAPI API = iota
	// Native: by CustomResourceDefinitions (from Calico 3.32).
	Native
	// Aggregated: by Calico's own API server.
	Aggregated
	// Stored: there is only crd.projectcalico.org/v1, which is Calico's own
	// affair and neither checked nor completed by anyone.
	Stored
	// Down: by Calico's own API server, which does not answer.
	Down
)

// Info is what is known of Calico on a cluster.
type Info struct {
	// Found: Calico is installed, as far as it can be told.
	Found bool
	// Agents are its agents; none where it does not enforce (any more), or where
	// they may not be read (Unsure).
	Agents  []Agent
	Unsure  bool
	Version Version
	API     API
	// Trouble is why the API is Down.
	Trouble  string
	Goldmane *Service
	Denied   []string
}

// calicosOwn are resources of projectcalico.org that only Calico serves: netpol
// makes definitions of the kinds that verdicts depend on alone.
var calicosOwn = []string{"clusterinformations", "felixconfigurations", "ippools"}

// Decide tells what facts mean.
func Decide(f *Facts) Info {
	public := slices.ContainsFunc(calicosOwn, func(r string) bool { return slices.Contains(f.Public, r) })
	stored := slices.Contains(f.Groups, storedGroup)
	out := Info{
		Agents: f.Agents, Goldmane: f.Goldmane, Denied: f.Denied, Trouble: f.Trouble,
		Found:  public || stored || len(f.Agents) > 0,
		Unsure: slices.ContainsFunc(f.Denied, func(d string) bool { return strings.Contains(d, "daemonsets") }),
	}
	if !out.Found {
		return Info{Denied: f.Denied}
	}
	out.API = f.api(public, stored)
	out.Version = f.version()
	if !out.Version.Known() && out.API == Native {
		out.Version = Version{Major: 3, Minor: 32} // the first that can be so
	}
	return out
}

// signs are what there is of Calico, in words.
func (f *Facts) signs() (out []string) {
	if f.Service != "" {
		out = append(out, "APIService v3."+publicGroup+", answered by Service "+f.Service)
	}
	if f.Operator != "" {
		out = append(out, "Deployment "+f.Operator)
	}
	for _, a := range f.Agents {
		out = append(out, "DaemonSet "+a.Namespace+"/"+a.Name)
	}
	return out
}

func (f *Facts) api(public, stored bool) API {
	switch {
	case f.Trouble != "":
		return Down
	case !slices.Contains(f.Groups, publicGroup):
		if stored {
			return Stored
		}
		return NoAPI
	case f.APIServiceRead && f.Service != "":
		return Aggregated
	case f.APIServiceRead && public:
		return Native
	case f.APIServiceRead:
		// The definitions are netpol's, or somebody's; Calico keeps its own.
		return Stored
	case stored:
		return Aggregated // Calico has one or the other
	}
	return Native
}

// version is the version that the most telling fact gives.
func (f *Facts) version() Version {
	if v, ok := ParseVersion(f.EnterpriseVersion); ok {
		v.Enterprise = true
		return v
	}
	for _, text := range []string{f.CalicoVersion, f.OperatorVersion} {
		if v, ok := ParseVersion(text); ok {
			return v
		}
	}
	for _, a := range f.Agents {
		if v, ok := imageVersion(a.Image); ok {
			return v
		}
	}
	return Version{}
}

// Enforces says whether Calico enforces policies here; where that may not be
// read, it is taken to.
func (i *Info) Enforces() bool { return i.Found && (len(i.Agents) > 0 || i.Unsure) }

// ReadOnly is why policies can't be written here; empty if they can.
func (i *Info) ReadOnly() (why, try string) {
	switch i.API {
	case NoAPI:
		return "Calico runs here, but its policies are not in this cluster's API: it keeps them elsewhere", "calicoctl, as it is set up for that"
	case Stored:
		return "Calico's API server is not installed: this cluster has Calico's internal resources (crd.projectcalico.org/v1) alone, which nobody checks",
			"install it: https://docs.tigera.io/calico/latest/operations/install-apiserver"
	case Down:
		return fmt.Sprintf("Calico's API server does not answer: %s", i.Trouble), "kubectl get apiservice v3.projectcalico.org, and kubectl get pods -A -l k8s-app=calico-apiserver"
	}
	return "", ""
}
