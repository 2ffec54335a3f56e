package push

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/policy"
)

// CheckTarget says what is wrong with a Target, nil if nothing is.
func CheckTarget(target string) error {
	if namespace, name, ok := strings.Cut(target, "/"); ok {
		if namespace == "" || name == "" || strings.Contains(name, "/") {
			return fmt.Errorf("%q is no NAMESPACE/SERVICE", target)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(target)
	if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || n == 0 || host == "" {
		return fmt.Errorf("%q is neither NAMESPACE/SERVICE nor HOST:PORT", target)
	}
	return nil
}

// serverName is the name in the server's certificate. The authority certifies
// nothing but flows servers, so that a server may be reached by any address.
func serverName(target string) string {
	if namespace, name, ok := strings.Cut(target, "/"); ok {
		return relay.ServerName(namespace, name)
	}
	return relay.ServerName(relay.Namespace, relay.Service)
}

// address is where the server is now. A Service is looked up in what the agent
// watches anyway: it works where the node can't resolve the cluster's names.
func (p *Pusher) address() (string, error) {
	namespace, name, ok := strings.Cut(p.opts.Target, "/")
	if !ok {
		return p.opts.Target, nil
	}
	snap := p.local.Snapshot()
	if snap == nil {
		return "", fmt.Errorf("the Service %s is not known yet", p.opts.Target)
	}
	svc := snap.Service(namespace, name)
	if svc == nil || len(svc.Addrs) == 0 {
		return "", fmt.Errorf("there is no Service %s with a cluster address", p.opts.Target)
	}
	for _, port := range svc.Ports {
		if port.Protocol == policy.TCP {
			return netip.AddrPortFrom(svc.Addrs[0], port.Port).String(), nil
		}
	}
	return "", fmt.Errorf("the Service %s has no TCP port", p.opts.Target)
}
