package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster/ephemeral"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/pkg/policy"
)

// probeSite is where connections are tried: a lab or a cluster.
type probeSite struct {
	pods     []lab.PodStatus
	services []plan.Service
	// look is the command that shows what there is to probe.
	look string
	run  func(context.Context, lab.ProbeRequest) (*lab.ProbeReply, error)
}

// siteFlags are what probing a cluster needs to know beside what is tried.
type siteFlags struct {
	Image string
	Yes   bool
}

func (s *siteFlags) addTo(fs *pflag.FlagSet) {
	fs.StringVar(&s.Image, "image", "", "on a cluster: image of netpol to probe with (default: the agents')")
	fs.BoolVarP(&s.Yes, "yes", "y", false, "on a cluster: add containers for probing to pods without asking")
}

// open finds the site that the target is.
func (s *siteFlags) open(ctx context.Context, f *cli.Factory) (*probeSite, error) {
	target, err := f.Target()
	if err != nil {
		return nil, err
	}
	if target == cli.TargetCluster {
		return s.openCluster(ctx, f)
	}
	if s.Image != "" {
		return nil, cli.Usage("", "--image is for a cluster: a lab probes with this program")
	}
	client, err := f.Lab()
	if err != nil {
		return nil, labError(err)
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, labError(err)
	}
	return &probeSite{
		pods: status.Pods, services: status.Services, look: "netpol lab status",
		run: func(ctx context.Context, r lab.ProbeRequest) (*lab.ProbeReply, error) {
			reply, err := client.Probe(ctx, r)
			if err != nil {
				return nil, labError(err)
			}
			return reply, nil
		},
	}, nil
}

func (s *siteFlags) openCluster(ctx context.Context, f *cli.Factory) (*probeSite, error) {
	m, err := loadModel(ctx, f, &worldFrom{})
	if err != nil {
		return nil, err
	}
	snap := m.Snapshot()
	return &probeSite{
		pods: probe.Pods(snap), services: probe.Services(snap), look: "netpol connectivity",
		run: func(ctx context.Context, r lab.ProbeRequest) (*lab.ProbeReply, error) {
			return s.probeCluster(ctx, f, snap, r)
		},
	}, nil
}

// probeCluster makes the connections from containers that are added to the
// pods, which the user is asked about first.
func (s *siteFlags) probeCluster(ctx context.Context, f *cli.Factory, snap *policy.Snapshot, r lab.ProbeRequest) (*lab.ProbeReply, error) {
	conn, err := f.Cluster()
	if err != nil {
		return nil, err
	}
	image := s.Image
	if image == "" {
		image = ephemeral.AgentImage(ctx, conn)
	}
	if image == "" {
		return nil, cli.Usage("netpol probe --image ghcr.io/netpol-project/netpol:"+programVersion(),
			"which image to probe with is not known: no agents of netpol are seen here")
	}
	site, err := ephemeral.Open(conn, image)
	if err != nil {
		return nil, err
	}
	missing, err := site.Missing(ctx, slices.Sorted(maps.Keys(r.Tasks)))
	if err != nil {
		return nil, siteError(err)
	}
	if err := s.ask(f.IO, missing, image); err != nil {
		return nil, err
	}
	client, err := f.Agent(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := site.Probe(ctx, prober.NewClient(client, podsByAddr(snap)), r)
	if err != nil {
		return nil, siteError(err)
	}
	return reply, nil
}

// podsByAddr tells where the pod is that has an address.
func podsByAddr(s *policy.Snapshot) prober.Where {
	pods := map[netip.Addr]*policy.Endpoint{}
	for _, ep := range s.Endpoints {
		for _, a := range ep.Addrs {
			pods[a] = ep
		}
	}
	return func(a netip.Addr) (node, namespace string) {
		if ep := pods[a.Unmap()]; ep != nil {
			return ep.Node, ep.Namespace
		}
		return "", ""
	}
}

// ask has the user agree to what stays behind in the pods.
func (s *siteFlags) ask(io *cli.Streams, pods []string, image string) error {
	if len(pods) == 0 || s.Yes {
		return nil
	}
	some := strings.Join(pods[:min(len(pods), 5)], ", ")
	if len(pods) > 5 {
		some += ", …"
	}
	what := fmt.Sprintf("%s (%s) would get a container netpol-probe of %s that does nothing, and that Kubernetes lists until the pod is replaced",
		plural(len(pods), "pod"), some, image)
	if !io.ErrTerminal {
		return cli.Usage("the same command with --yes", "%s", what)
	}
	io.ErrPrinter().Printf("%s.\nGo on? [y/N] ", what)
	answer, err := bufio.NewReader(io.In).ReadString('\n')
	if err != nil && answer == "" {
		return cli.Usage("the same command with --yes", "nobody answered")
	}
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return cli.Usage("", "nothing was done")
	}
	return nil
}

// siteError gives an error of probing a cluster its next step.
func siteError(err error) error {
	var denied *ephemeral.DeniedError
	if errors.As(err, &denied) {
		resource, sub, _ := strings.Cut(denied.Resource, "/")
		try := fmt.Sprintf("kubectl auth can-i %s %s -n %s", denied.Verb, resource, denied.Namespace)
		if sub != "" {
			try += " --subresource " + sub
		}
		return &cli.Error{What: denied.Error(), Where: []string{"probing makes connections from inside the pods, which needs that right"}, Try: try, Err: err}
	}
	return err
}
