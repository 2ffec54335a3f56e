package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/flow"
)

// detectTimeout bounds each request that looks for Calico.
const detectTimeout = 10 * time.Second

// detect looks for Calico on the cluster.
func (f *Factory) detect(ctx context.Context) (*calico.Info, error) {
	conn, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	timeout, err := f.requestTimeout()
	if err != nil {
		return nil, err
	}
	if timeout == 0 {
		timeout = detectTimeout
	}
	info, err := calico.Detect(ctx, conn, timeout)
	return &info, err
}

// calicoFlows are the flows of a cluster on which Calico enforces; nil where it
// does not.
func (f *Factory) calicoFlows(ctx context.Context) (flow.Source, error) {
	if !f.OnCluster() {
		return nil, nil
	}
	info, err := f.Calico(ctx)
	if err != nil {
		return nil, err
	}
	if !info.Enforces() {
		return nil, nil
	}
	if info.Goldmane == nil {
		return nil, noGoldmane(info)
	}
	conn, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	raw, err := kube.NewRaw(conn, detectTimeout)
	if err != nil {
		return nil, err
	}
	client, err := calico.DialGoldmane(ctx, conn, raw, *info.Goldmane)
	if err != nil {
		return nil, goldmaneError(err)
	}
	return flow.FromCalico(flow.NewClient(client)), nil
}

// noGoldmane is the error where Calico tells no flows, or may not be asked.
func noGoldmane(info *calico.Info) error {
	for _, right := range info.Denied {
		if strings.HasPrefix(right, "get services/goldmane") {
			return &Error{What: "Calico enforces here, and you may not see whether it has a Goldmane, which tells flows", Try: "kubectl auth can-i " + right + ", or --flows FILE with Calico's flow logs"}
		}
	}
	e := &Error{
		What: fmt.Sprintf("Calico %s enforces here, and it has no Goldmane, which tells flows", info.Version),
		Try:  "--flows FILE with Calico's flow logs, or make a resource Goldmane default of operator.tigera.io/v1",
		Err:  ErrNotInstalled,
	}
	if v := info.Version; v.Known() && v.Naming() == calico.NoTiers {
		e.Try = "--flows FILE with Calico's flow logs, or upgrade Calico: Goldmane came with v3.30"
	}
	return e
}

// calicoWaits is why nobody says here when a change is in force; nil where Calico
// does not enforce.
func (f *Factory) calicoWaits(ctx context.Context) error {
	info, err := f.Calico(ctx)
	if err != nil || !info.Enforces() {
		return nil
	}
	return &Error{What: fmt.Sprintf("Calico %s enforces here, and its agents do not say when they have a change", info.Version), Try: "the same without --wait", Err: ErrNotInstalled}
}

func goldmaneError(err error) error {
	var r *calico.ReachError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &r) && r.Right != "":
		return &Error{What: "Calico's Goldmane can't be reached: a right is missing for " + r.What, Where: []string{"you may not " + r.Right},
			Try: "kubectl auth can-i " + r.Right + ", or --flows goldmane://HOST:PORT with a certificate of your own", Err: err}
	}
	return &Error{What: "Calico's Goldmane can't be reached", Where: []string{err.Error()}, Try: "kubectl -n " + calico.System + " get pods,secrets", Err: err}
}
