package stage

import (
	"fmt"

	"github.com/netpol-project/netpol/pkg/policy"
)

// CalicoDifference is a staged policy that Calico's own pending verdicts judge
// otherwise than netpol does (S27). Its JSON is a contract.
type CalicoDifference struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Reason    string `json:"reason"`
}

// CalicoDiffers are the staged policies for which the pending trace in Calico's
// flows can be another than the verdict once they are enforced: Calico puts a
// staged policy beside the enforced one of its name instead of in its place, the
// enforced one first if their orders are the same, and knows nothing of a staged
// deletion.
func CalicoDiffers(snap *policy.Snapshot) []CalicoDifference {
	var out []CalicoDifference
	for _, p := range snap.Policies {
		if reason := calicoDiffers(snap, p); reason != "" {
			out = append(out, CalicoDifference{string(p.Kind), p.Namespace, p.Name, reason})
		}
	}
	return out
}

func calicoDiffers(snap *policy.Snapshot, p *policy.Policy) string {
	twin, ok := Twin(p.Key)
	if !ok || !p.Kind.Staged() || p.StagedAction == policy.StagedIgnore {
		return ""
	}
	enforced := snap.Policy(twin)
	switch {
	case enforced == nil:
		return ""
	case p.StagedAction == policy.StagedDelete:
		return fmt.Sprintf("it stages the deletion of %s, which Calico's trace goes on asking", twin)
	case enforced.Tier != p.Tier:
		return fmt.Sprintf("it replaces %s, which Calico's trace goes on asking in tier %s", twin, enforced.Tier)
	case enforced.Order <= p.Order:
		return fmt.Sprintf("it replaces %s, which Calico's trace goes on asking first", twin)
	}
	return fmt.Sprintf("it replaces %s, which Calico's trace goes on asking after it", twin)
}
