package cli

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/viper"
	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// New is the factory for real use. Nothing is opened until it is asked for.
func New(streams *Streams, config *viper.Viper) *Factory {
	f := &Factory{IO: streams, Now: time.Now, Config: config}
	f.Cluster = sync.OnceValues(f.connect)
	f.Target = sync.OnceValues(f.target)
	f.Lab = sync.OnceValues(func() (*lab.Client, error) {
		target, err := f.Target()
		switch {
		case err != nil:
			return nil, err
		case target == TargetDir:
			return nil, Usage("netpol lab up -f DIR, then the same command without --dir",
				"--dir is files alone: no traffic is seen there, and there is nothing to probe")
		case target == TargetCluster:
			return nil, Usage("netpol lab up -f DIR, then the same command with --lab", "this is for a lab, and a cluster is none")
		}
		return openLab(f.Config.GetString("lab"))
	})
	f.Store = sync.OnceValues(f.store)
	agent := sync.OnceValues(func() (*grpc.ClientConn, error) {
		l, err := f.Lab()
		if err != nil {
			return nil, err
		}
		return dialAgent(l)
	})
	var hub once[*grpc.ClientConn]
	f.Nodes = func(ctx context.Context) (agentpb.NodesClient, error) {
		if !f.OnCluster() {
			return nil, Usage("netpol status", "this is for a cluster, which has many nodes")
		}
		conn, err := hub.get(ctx, f.dialHub)
		if err != nil {
			return nil, err
		}
		return agentpb.NewNodesClient(conn), nil
	}
	either := func(ctx context.Context) (*grpc.ClientConn, error) {
		if f.OnCluster() {
			return hub.get(ctx, f.dialHub)
		}
		return agent()
	}
	var found once[*calico.Info]
	f.Calico = func(ctx context.Context) (*calico.Info, error) { return found.get(ctx, f.detect) }
	f.Flows = func(ctx context.Context) (flow.Source, error) {
		if source, err := f.calicoFlows(ctx); source != nil || err != nil {
			return source, err
		}
		if f.Offline() {
			return nil, Usage("the same with --flows FILE (netpol flows record makes one); or netpol lab up -f DIR, then without --dir",
				"--dir is files alone: no traffic is seen there")
		}
		conn, err := either(ctx)
		if err != nil {
			return nil, err
		}
		return flow.NewClient(conn), nil
	}
	f.Agent = func(ctx context.Context) (agentpb.AgentClient, error) {
		conn, err := either(ctx)
		if err != nil {
			return nil, err
		}
		return agentpb.NewAgentClient(conn), nil
	}
	return f
}

// Offline says that commands work on a directory alone: there is no agent and
// there are no flows.
func (f *Factory) Offline() bool {
	target, err := f.Target()
	return err == nil && target == TargetDir
}

// OnCluster says that commands work on a Kubernetes cluster.
func (f *Factory) OnCluster() bool {
	target, err := f.Target()
	return err == nil && target == TargetCluster
}

// DefaultNamespace is the namespace of the kubeconfig's context where a command
// needs one and none was given, as for kubectl; "" unless this is a cluster.
func (f *Factory) DefaultNamespace() string {
	if !f.OnCluster() || len(f.Namespaces()) > 0 || f.AllNamespaces() {
		return ""
	}
	conn, err := f.Cluster()
	if err != nil {
		return ""
	}
	return conn.Namespace
}

// Namespaces are those given by -n, sorted, without duplicates; empty if none.
func (f *Factory) Namespaces() []string {
	var out []string
	for _, s := range f.Config.GetStringSlice("namespace") {
		out = append(out, strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// AllNamespaces says that -A was given.
func (f *Factory) AllNamespaces() bool { return f.Config.GetBool("all-namespaces") }

// Namespace is the one namespace given by -n, or "" if none was. More than
// one, or -n with -A, is a usage error.
func (f *Factory) Namespace() (string, error) {
	ns := f.Namespaces()
	switch {
	case len(ns) > 0 && f.AllNamespaces():
		return "", Usage("", "-n and -A can't be given together")
	case len(ns) > 1:
		return "", Usage("", "one namespace is needed here, but %d were given: %s", len(ns), strings.Join(ns, ", "))
	case len(ns) == 1:
		return ns[0], nil
	}
	return "", nil
}
