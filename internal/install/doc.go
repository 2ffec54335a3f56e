// Package install is what netpol consists of on a cluster: the manifests of
// manifests/, filled in with values. From the same sources come the objects
// that netpol install applies, the YAML that it prints, and the Helm chart.
//
// It is pure: what talks to a cluster is internal/cluster/install.
package install

// What everything on a cluster is called.
const (
	Namespace = "netpol-system"
	AgentName = "netpol-agent"
	FlowsName = "netpol-flows"
	// CAName is the Secret and the ConfigMap that the flows server makes.
	CAName = "netpol-flows-ca"
	// CNIContainer is the agents' container that keeps the CNI plugin on a node.
	CNIContainer = "cni"
	// CleanupName is the DaemonSet that takes rules out of kernels.
	CleanupName = "netpol-cleanup"
)

// Repository is the name of the image without its tag.
const Repository = "ghcr.io/netpol-project/netpol"

// Release is the version that manifests name unless another is asked for.
const Release = "v0.1.0"

// Labels by which netpol knows what is its own.
const (
	LabelPartOf    = "app.kubernetes.io/part-of"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	LabelComponent = "app.kubernetes.io/component"
	LabelName      = "app.kubernetes.io/name"
	// Ours is the value of LabelPartOf, and of LabelManagedBy where netpol
	// install is what manages it.
	Ours = "netpol"
	// HelmManages is the value that Helm gives LabelManagedBy.
	HelmManages = "Helm"
)

//go:generate go run ./generate ../../deploy
