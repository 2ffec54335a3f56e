package flowserver

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// awaited are the resources whose changes can be waited for.
var awaited = map[policy.Kind]Access{
	policy.KindNetworkPolicy:                 {Group: "projectcalico.org", Resource: "networkpolicies"},
	policy.KindGlobalNetworkPolicy:           {Group: "projectcalico.org", Resource: "globalnetworkpolicies"},
	policy.KindStagedNetworkPolicy:           {Group: "projectcalico.org", Resource: "stagednetworkpolicies"},
	policy.KindStagedGlobalNetworkPolicy:     {Group: "projectcalico.org", Resource: "stagedglobalnetworkpolicies"},
	policy.KindStagedKubernetesNetworkPolicy: {Group: "projectcalico.org", Resource: "stagedkubernetesnetworkpolicies"},
	policy.KindKubernetesNetworkPolicy:       {Group: "networking.k8s.io", Resource: "networkpolicies"},
	policy.KindClusterNetworkPolicy:          {Group: "policy.networking.k8s.io", Resource: "clusternetworkpolicies"},
	policy.KindTier:                          {Group: "projectcalico.org", Resource: "tiers"},
	policy.KindNetworkSet:                    {Group: "projectcalico.org", Resource: "networksets"},
	policy.KindGlobalNetworkSet:              {Group: "projectcalico.org", Resource: "globalnetworksets"},
	policy.KindHostEndpoint:                  {Group: "projectcalico.org", Resource: "hostendpoints"},
}

// maxName and maxVersion bound what a change is told by, in bytes: a name as
// Kubernetes does, a version as the decimal number that it is.
const maxName, maxVersion = 253, 64

// mayAwait: what users may read they may also wait for. Who may see the flows
// of a namespace may wait for whatever is in it; the answer tells no more than
// how fast nodes are.
func (s *nodesServer) mayAwait(ctx context.Context, c *caller, changes []*agentpb.Written) error {
	if len(changes) == 0 || len(changes) > maxChanges {
		return status.Errorf(codes.InvalidArgument, "%d changes: from 1 to %d can be waited for", len(changes), maxChanges)
	}
	for i, w := range changes {
		if max(len(w.GetKind()), len(w.GetNamespace()), len(w.GetName())) > maxName || len(w.GetVersion()) > maxVersion {
			return status.Errorf(codes.InvalidArgument, "change %d has a name or version that no resource has", i+1)
		}
	}
	for _, w := range changes {
		rights := []Access{listFlows(""), listFlows(w.GetNamespace())}
		missing := fmt.Sprintf("list flows.netpol.dev in namespace %s", w.GetNamespace())
		if w.GetNamespace() == "" {
			missing = "list flows.netpol.dev in all namespaces"
		}
		if a, ok := awaited[policy.Kind(w.GetKind())]; ok {
			a.Verb, a.Namespace, a.Name = "get", w.GetNamespace(), w.GetName()
			rights = append(rights, a)
			missing += fmt.Sprintf(", nor get %s.%s %s", a.Resource, a.Group, a.Name)
		}
		if may, err := s.users.any(ctx, c, rights...); err != nil {
			return err
		} else if !may {
			return s.users.denied(c, missing)
		}
	}
	return nil
}
