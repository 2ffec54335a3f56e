package cli

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/viper"
	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/internal/cluster"
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
		if err := f.refuseCluster(); err != nil {
			return nil, err
		}
		if f.Offline() {
			return nil, Usage("netpol lab up -f DIR, then the same command without --dir",
				"--dir is files alone: no traffic is seen there, and there is nothing to probe")
		}
		return openLab(f.Config.GetString("lab"))
	})
	f.Store = sync.OnceValues(func() (cluster.Store, error) {
		if err := f.refuseCluster(); err != nil {
			return nil, err
		}
		if dir := f.Config.GetString("dir"); dir != "" {
			return openDir(dir)
		}
		l, err := f.Lab()
		if err != nil {
			return nil, err
		}
		return openDir(l.ManifestDir())
	})
	agent := sync.OnceValues(func() (*grpc.ClientConn, error) {
		l, err := f.Lab()
		if err != nil {
			return nil, err
		}
		return dialAgent(l)
	})
	f.Flows = func(context.Context) (flow.Source, error) {
		conn, err := agent()
		if err != nil {
			return nil, err
		}
		return flow.NewClient(conn), nil
	}
	f.Agent = func(context.Context) (agentpb.AgentClient, error) {
		conn, err := agent()
		if err != nil {
			return nil, err
		}
		return agentpb.NewAgentClient(conn), nil
	}
	return f
}

// refuseCluster refuses the flags that mean a Kubernetes cluster, which netpol
// can't reach yet: ignoring them would work on the wrong thing.
func (f *Factory) refuseCluster() error {
	for _, name := range []string{"context", "kubeconfig"} {
		if f.Config.GetString(name) != "" {
			return Usage("netpol --dir DIR …, or netpol lab up", "--%s: netpol can't work on a cluster yet, only on a lab or a directory of manifests", name)
		}
	}
	return nil
}

// Offline says that --dir was given: there is no agent and there are no flows.
func (f *Factory) Offline() bool { return f.Config.GetString("dir") != "" }

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
