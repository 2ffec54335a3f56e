package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/pkg/flow"
)

// openLab finds a running lab.
func openLab(name string) (*lab.Client, error) {
	client, err := lab.Dial(name)
	var hint *lab.Hint
	if errors.As(err, &hint) {
		lines := strings.Split(hint.What, "\n")
		return nil, &Error{What: lines[0], Where: lines[1:], Try: hint.Try, Err: err}
	}
	return client, err
}

// store is the resources of the target.
func (f *Factory) store() (cluster.Store, error) {
	target, err := f.Target()
	if err != nil {
		return nil, err
	}
	switch target {
	case TargetDir:
		return openDir(f.Config.GetString("dir"))
	case TargetCluster:
		return f.openCluster()
	}
	l, err := f.Lab()
	if err != nil {
		return nil, err
	}
	return openDir(l.ManifestDir())
}

// openCluster opens the resources of the cluster. What the server warns of and
// what can't be known goes to the error stream.
func (f *Factory) openCluster() (cluster.Store, error) {
	conn, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	timeout, err := f.requestTimeout()
	if err != nil {
		return nil, err
	}
	opts := kube.Options{
		Namespaces: f.Namespaces(), Timeout: timeout,
		Warn: func(text string) { f.IO.ErrPrinter().Printf("%s\n", text) },
	}
	// What a command undoes when it is interrupted it does by this store.
	ctx := context.Background()
	looking := f.Context
	if looking == nil {
		looking = ctx
	}
	info, err := f.Calico(looking)
	if err != nil {
		return nil, err
	}
	if info.Enforces() {
		return calico.Open(ctx, conn, opts, info)
	}
	return kube.OpenStore(ctx, conn, opts)
}

// openDir opens a directory of manifests.
func openDir(path string) (cluster.Store, error) {
	d, err := cluster.OpenDir(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Error{What: fmt.Sprintf("no directory %s", path), Try: "mkdir -p " + path, Err: err}
	case err != nil:
		e := &Error{What: err.Error(), Err: err}
		if info, err := os.Stat(path); err == nil && !info.IsDir() {
			e.Try = "the same with the directory that it is in: " + filepath.Dir(path)
		}
		return nil, e
	}
	return d, nil
}

// dialAgent connects to a lab's agent; nothing is sent until the first call.
func dialAgent(l *lab.Client) (*grpc.ClientConn, error) {
	conn, err := flow.DialUnix(l.AgentSocket())
	if err != nil {
		return nil, &Error{What: "the lab's agent can't be reached", Where: []string{err.Error()}, Try: "netpol lab status", Err: err}
	}
	return conn, nil
}
