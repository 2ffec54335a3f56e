package cli

import (
	"errors"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/lab"
)

// Target is what commands work on.
type Target int

// The targets.
const (
	TargetDir Target = iota
	TargetLab
	TargetCluster
)

// target finds what commands work on: what was asked for (--dir, --lab,
// --context or --kubeconfig), else for kubectl's plugin the cluster, else a
// running lab, else the cluster that a kubeconfig names. A lab goes first,
// since a change that was meant for a lab does more harm in a cluster than the
// other way round.
func (f *Factory) target() (Target, error) {
	switch {
	case f.Config.GetString("dir") != "":
		return TargetDir, nil
	case f.labAsked:
		return TargetLab, nil
	case f.Config.GetString("context") != "" || f.Config.GetString("kubeconfig") != "" || f.Program != "":
		return TargetCluster, nil
	}
	_, err := lab.Dial(f.Config.GetString("lab"))
	if err == nil {
		return TargetLab, nil
	}
	if !errors.Is(err, lab.ErrNotRunning) {
		return 0, err
	}
	_, err = f.Cluster()
	if errors.Is(err, kube.ErrNoCluster) {
		return TargetLab, nil // whose error says how to start one
	}
	return TargetCluster, err
}

// connect is the cluster that flags, the environment and kubeconfig name.
func (f *Factory) connect() (*kube.Conn, error) {
	conn, err := kube.Connect(kube.Where{Kubeconfig: f.Config.GetString("kubeconfig"), Context: f.Config.GetString("context")})
	if err != nil {
		return nil, &Error{What: err.Error(), Try: "netpol --kubeconfig FILE --context NAME …, netpol lab up, or netpol --dir DIR …", Err: err}
	}
	return conn, nil
}
