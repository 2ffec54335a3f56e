package lab

import (
	"context"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// Status is what a lab's node knows of itself. Its JSON form is a contract.
type Status struct {
	APIVersion string    `json:"apiVersion"` // netpol.dev/v1
	Kind       string    `json:"kind"`       // LabStatus
	Name       string    `json:"name"`
	PID        int       `json:"pid"` // of the node's process, as this side sees it
	Started    time.Time `json:"started"`
	// CountedSince is when the counters of all targets began.
	CountedSince time.Time `json:"countedSince"`
	Directory    string    `json:"directory"`
	Manifests    string    `json:"manifests"`
	AgentSocket  string    `json:"agentSocket"`
	// LogLines is the file that Log rules write to (S7); it may not exist.
	LogLines string      `json:"logLines"`
	Node     plan.Node   `json:"node"`
	Agent    AgentStatus `json:"agent"`
	Pods     []PodStatus `json:"pods"` // sorted by namespace and name
	// Outside is the client outside the cluster, as if it were a pod.
	Outside PodStatus `json:"outside"`
	// Services with the pods behind each port; sorted by namespace and name.
	Services []plan.Service `json:"services"`
	Notes    []string       `json:"notes,omitempty"`
}

// AgentStatus is how the agent's process fares.
type AgentStatus struct {
	Wanted   bool `json:"wanted"` // false: the lab was started with --no-agent
	Running  bool `json:"running"`
	Ready    bool `json:"ready"` // it answered, and its first full sync is done
	Restarts int  `json:"restarts"`
	// Problems it reports: faults in resources, failed batches.
	Problems []string `json:"problems,omitempty"`
}

// PodStatus is one pod and what its actor did.
type PodStatus struct {
	Namespace string         `json:"namespace"`
	Name      string         `json:"name"`
	Workload  plan.Workload  `json:"workload"`
	Addrs     []netip.Addr   `json:"addresses"`
	Interface string         `json:"interface,omitempty"`
	Ports     []plan.Port    `json:"ports,omitempty"`
	Running   bool           `json:"running"`
	Restarts  int            `json:"restarts"`
	Targets   []TargetStatus `json:"targets,omitempty"`
}

// TargetStatus counts attempts to reach one target since CountedSince.
// Attempts that began before are left out.
type TargetStatus struct {
	Target      string     `json:"target"`
	OK          int64      `json:"ok"`
	Failed      int64      `json:"failed"`
	LastError   string     `json:"lastError,omitempty"`
	LastErrorAt *time.Time `json:"lastErrorAt,omitempty"`
}

// ProbeRequest asks a lab to try connections from its pods.
type ProbeRequest struct {
	// Tasks by the ID (namespace/name) of the pod that they start from.
	Tasks map[string][]prober.Task `json:"tasks"`
	// Timeout bounds each attempt, nanoseconds.
	Timeout time.Duration `json:"timeout"`
}

// ProbeReply has an outcome for every task.
type ProbeReply struct {
	Outcomes []prober.Outcome `json:"outcomes"`
}

// Paths of the control interface.
const (
	pathStatus = "/v1/status"
	pathReset  = "/v1/reset"
	pathProbe  = "/v1/probe"
	pathDown   = "/v1/down"
)

// Backend is what a node does when it is asked.
type Backend interface {
	Status() Status
	Reset()
	Probe(ctx context.Context, req ProbeRequest) (ProbeReply, error)
	Down()
}
