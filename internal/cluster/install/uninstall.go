package install

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// RemoveOptions say what is removed.
type RemoveOptions struct {
	// Agent is the DaemonSet of the agents as Detect found it, nil if there is none.
	Agent *unstructured.Unstructured
	// Cleanup is the DaemonSet that removes rules from nodes; nil: they stay.
	Cleanup *unstructured.Unstructured
	// Namespace is where Cleanup runs, to be made if it is not there.
	Namespace *unstructured.Unstructured
	// Purge removes the kinds of policies too, with every policy of them.
	Purge bool
	// Wait waits until nothing is left.
	Wait bool
	// Within bounds the wait for the nodes, and the one for the rest.
	Within time.Duration
	// Tell gets each thing that was removed, Progress how many nodes are clean.
	Tell     func(Result)
	Progress func(clean, nodes int)
}

// Remove takes netpol off the cluster: the agents first, then with their nodes'
// own help the rules, then everything else. Nodes whose rules may still be
// there are told, with the reason; what is on the API server is gone
// nevertheless.
func (c *Client) Remove(ctx context.Context, opts RemoveOptions) (dirty map[string]string, err error) {
	had, err := c.agentNodes(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Agent != nil {
		if _, err := c.remove(ctx, opts.Agent, false); err != nil {
			return nil, err
		}
		opts.Tell(Result{Object: opts.Agent, Outcome: cluster.Deleted})
		if err := c.awaitAgents(ctx, min(opts.Within, agentsEnd)); err != nil {
			return nil, err
		}
	}
	if opts.Cleanup != nil {
		if dirty, err = c.clean(ctx, opts, had); err != nil {
			return dirty, err
		}
	}
	if err := c.removeRest(ctx, opts); err != nil {
		return dirty, err
	}
	return dirty, nil
}

// agentsEnd is how long agents get to end before their rules are removed. Those
// of a node that is down never do; they must not hold up the others.
const agentsEnd = 30 * time.Second

// awaitAgents waits until no agent runs: a living one would put its rules back.
func (c *Client) awaitAgents(ctx context.Context, within time.Duration) error {
	for end := time.Now().Add(within); time.Now().Before(end); {
		list, err := c.podsOf(ctx, manifest.AgentName)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := c.sleep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// agentNodes are the nodes that have a pod of the agents.
func (c *Client) agentNodes(ctx context.Context) ([]string, error) {
	list, err := c.podsOf(ctx, manifest.AgentName)
	var out []string
	for i := range list {
		out = append(out, nodeOf(&list[i]))
	}
	return out, err
}

func (c *Client) podsOf(ctx context.Context, name string) ([]unstructured.Unstructured, error) {
	list, err := c.dyn.Resource(pods).Namespace(manifest.Namespace).List(ctx, metav1.ListOptions{LabelSelector: manifest.LabelName + "=" + name})
	if err != nil {
		return nil, c.fail("list pods of namespace "+manifest.Namespace, err)
	}
	return list.Items, nil
}

// clean has every node remove its rules. had are the nodes that ran an agent.
func (c *Client) clean(ctx context.Context, opts RemoveOptions, had []string) (map[string]string, error) {
	apply := ApplyOptions{ForceConflicts: true, Within: opts.Within}
	there, err := c.get(ctx, namespaces, "", opts.Namespace.GetName())
	if err != nil {
		return nil, err
	}
	if there != nil && there.GetDeletionTimestamp() != nil {
		return nil, &cluster.Failure{What: "namespace " + there.GetName() + " is still being deleted",
			Try: "the same when it is gone; what holds it up: " + c.kubectl("-n "+there.GetName()+" get pods -o wide")}
	}
	if there == nil {
		if _, err := c.apply(ctx, opts.Namespace, apply); err != nil {
			return nil, err
		}
	}
	if _, err := c.apply(ctx, opts.Cleanup, apply); err != nil {
		return nil, err
	}
	bounded, cancel := context.WithTimeout(ctx, opts.Within)
	defer cancel()
	dirty, err := c.awaitClean(bounded, had, opts.Progress)
	if ctx.Err() != nil {
		return dirty, ctx.Err()
	}
	if err != nil && bounded.Err() == nil {
		return dirty, err
	}
	_, err = c.remove(ctx, opts.Cleanup, false)
	return dirty, err
}

// awaitClean waits until the cleanup's pod is ready on every node and no agent
// runs any more, and gives the nodes for which that is not so.
func (c *Client) awaitClean(ctx context.Context, had []string, progress func(clean, nodes int)) (map[string]string, error) {
	dirty := map[string]string{}
	told := -1
	for {
		next, nodes, err := c.dirty(ctx, had)
		if err != nil {
			return dirty, err
		}
		dirty = next
		clean := nodes - len(dirty)
		if dirty[startup] != "" {
			clean++ // it is no node
		}
		if clean != told {
			told = clean
			progress(clean, nodes)
		}
		if len(dirty) == 0 {
			return nil, nil
		}
		if err := c.sleep(ctx); err != nil {
			return dirty, err
		}
	}
}

// startup stands for all nodes while the controllers have not looked yet.
const startup = "every node"

func (c *Client) dirty(ctx context.Context, had []string) (dirty map[string]string, nodes int, err error) {
	dirty = map[string]string{}
	all := map[string]bool{}
	for _, node := range had {
		dirty[node], all[node] = "its agent is gone, and nothing has answered from there", true
	}
	ds, err := c.get(ctx, daemonSets, manifest.Namespace, manifest.CleanupName)
	if err != nil {
		return nil, 0, err
	}
	cleaners, err := c.podsOf(ctx, manifest.CleanupName)
	if err != nil {
		return nil, 0, err
	}
	for i := range cleaners {
		node := nodeOf(&cleaners[i])
		all[node] = true
		if condition(&cleaners[i], "Ready") == "True" {
			delete(dirty, node)
		} else {
			dirty[node] = whyNot(&cleaners[i])
		}
	}
	agents, err := c.podsOf(ctx, manifest.AgentName)
	if err != nil {
		return nil, 0, err
	}
	for i := range agents {
		dirty[nodeOf(&agents[i])] = "its agent has not ended yet"
		all[nodeOf(&agents[i])] = true
	}
	if ds != nil && (number(ds, "status", "observedGeneration") < ds.GetGeneration() || number(ds, "status", "desiredNumberScheduled") > int64(len(cleaners))) {
		dirty[startup] = "the controller manager has not made all pods of DaemonSet " + manifest.CleanupName + " yet"
	}
	return dirty, len(all), nil
}

// removeRest removes everything but the agents.
func (c *Client) removeRest(ctx context.Context, opts RemoveOptions) error {
	list, err := c.Installed(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(list)
	var kinds, last []*unstructured.Unstructured
	gone := func(u *unstructured.Unstructured) error {
		was, err := c.remove(ctx, u, false)
		if was {
			opts.Tell(Result{Object: u, Outcome: cluster.Deleted})
		}
		return err
	}
	for _, u := range append(list, c.unlabelled()...) {
		switch u.GetKind() {
		case "CustomResourceDefinition":
			kinds = append(kinds, u)
		case "Namespace":
			last = append(last, u)
		default:
			if err := gone(u); err != nil {
				return err
			}
		}
	}
	// Without the flows server tiers could not be deleted any more.
	if err := c.release(ctx); err != nil {
		return err
	}
	if opts.Purge {
		last = append(kinds, last...)
	} else {
		kinds = nil
	}
	for _, u := range last {
		if err := gone(u); err != nil {
			return err
		}
	}
	if opts.Wait {
		return c.awaitGone(ctx, last, opts.Within)
	}
	return nil
}

// unlabelled is what the flows server has made by itself.
func (c *Client) unlabelled() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, kind := range []string{"Secret", "ConfigMap"} {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("v1")
		u.SetKind(kind)
		u.SetNamespace(manifest.Namespace)
		u.SetName(manifest.CAName)
		out = append(out, u)
	}
	return out
}

// release takes our finalizer off tiers, twice: the right of a flows server that
// is just ending to put it back is gone by then.
func (c *Client) release(ctx context.Context) error {
	keeper, err := kube.NewTierKeeper(c.conn, func(string) {})
	if err != nil {
		return err
	}
	if err := keeper.Release(ctx); err != nil {
		return c.fail("update tiers", err)
	}
	if err := c.sleep(ctx); err != nil {
		return err
	}
	if err := keeper.Release(ctx); err != nil {
		return c.fail("update tiers", err)
	}
	return nil
}

// awaitGone waits until objects are gone, and the namespace's pods with it.
func (c *Client) awaitGone(ctx context.Context, list []*unstructured.Unstructured, within time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, u := range list {
		resource, err := c.at(u)
		if err != nil {
			return err
		}
		for {
			_, err := resource.Get(bounded, u.GetName(), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				break
			}
			if err == nil {
				err = c.sleep(bounded)
			}
			if bounded.Err() != nil && ctx.Err() == nil {
				return &cluster.Failure{What: fmt.Sprintf("%s is not gone after %s", title(u), within), Try: c.kubectl("get " + title(u) + " -o yaml")}
			}
			if err != nil {
				return c.fail("get "+title(u), err)
			}
		}
	}
	return nil
}

// Stored counts the objects that --purge would remove, and their namespaces.
func (c *Client) Stored(ctx context.Context) (objects, inNamespaces int, err error) {
	return c.count(ctx, owned)
}

// Lines are nodes with what there is to say of each, sorted.
func Lines(dirty map[string]string) []string {
	var out []string
	for _, node := range slices.Sorted(maps.Keys(dirty)) {
		out = append(out, node+": "+dirty[node])
	}
	return out
}
