package review

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

type pod struct {
	object
	Spec struct {
		NodeName    string `json:"nodeName"`
		HostNetwork bool   `json:"hostNetwork"`
		Affinity    struct {
			NodeAffinity struct {
				Required struct {
					Terms []struct {
						Fields []struct {
							Key    string   `json:"key"`
							Values []string `json:"values"`
						} `json:"matchFields"`
					} `json:"nodeSelectorTerms"`
				} `json:"requiredDuringSchedulingIgnoredDuringExecution"`
			} `json:"nodeAffinity"`
		} `json:"affinity"`
		Containers []struct {
			Ports []struct {
				Name          string `json:"name"`
				ContainerPort int    `json:"containerPort"`
			} `json:"ports"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase      string `json:"phase"`
		Conditions []struct {
			Type   string `json:"type"`
			Status string `json:"status"`
		} `json:"conditions"`
	} `json:"status"`
}

// node is where the pod is, or is meant for while no scheduler has bound it: a
// DaemonSet says so by the node's name.
func (p *pod) node() string {
	if p.Spec.NodeName != "" {
		return p.Spec.NodeName
	}
	for _, term := range p.Spec.Affinity.NodeAffinity.Required.Terms {
		for _, f := range term.Fields {
			if f.Key == "metadata.name" && len(f.Values) == 1 {
				return f.Values[0]
			}
		}
	}
	return ""
}

func (p *pod) ownedBy(kind, name string) bool {
	return slices.ContainsFunc(p.Metadata.OwnerReferences, func(o owner) bool { return o.Kind == kind && o.Name == name })
}

// Agents knows the pods of the agents' DaemonSet.
type Agents struct {
	client *Client
	log    *slog.Logger

	mu    sync.RWMutex
	pods  map[string]*pod // by name
	known bool
}

// NewAgents knows nothing before Run.
func NewAgents(c *Client, log *slog.Logger) *Agents {
	return &Agents{client: c, log: log, pods: map[string]*pod{}}
}

// Nodes implements flowserver.Expected: the nodes that have such a pod, or are
// to have one.
func (a *Agents) Nodes() (names []string, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, p := range a.pods {
		if name := p.node(); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), a.known
}

// NodeOf implements flowserver.Pods.
func (a *Agents) NodeOf(name, uid string) (node string, ok bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	p := a.pods[name]
	if p == nil || uid == "" || p.Metadata.UID != uid || p.Spec.NodeName == "" {
		return "", false
	}
	return p.Spec.NodeName, true
}

const (
	// pause is how long the API server is left alone after something failed. So
	// has a watch that lasted less than shortWatch: they take minutes, unless
	// what is between cuts them off at once.
	pause      = 2 * time.Second
	shortWatch = time.Second
)

// Run follows the pods until ctx ends.
func (a *Agents) Run(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := a.list(ctx)
		for err == nil && ctx.Err() == nil {
			began := time.Now()
			version, err = a.watch(ctx, version)
			if err == nil && time.Since(began) < shortWatch {
				sleep(ctx, pause)
			}
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("watching the agents' pods", "error", err)
		}
		sleep(ctx, pause)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (a *Agents) list(ctx context.Context) (version string, err error) {
	var list struct {
		object
		Items []*pod `json:"items"`
	}
	if err := a.client.call(ctx, "GET", a.client.inNamespace("pods", ""), nil, &list); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.pods)
	for _, p := range list.Items {
		a.put(p)
	}
	a.known = true
	return list.Metadata.ResourceVersion, nil
}

// put keeps a pod if it is an agent's; it needs the lock.
func (a *Agents) put(p *pod) {
	if p.ownedBy("DaemonSet", relay.Agents) && p.Status.Phase != "Succeeded" && p.Status.Phase != "Failed" {
		a.pods[p.Metadata.Name] = p
	} else {
		delete(a.pods, p.Metadata.Name)
	}
}

// watch follows changes after a version until the API server ends the watch.
func (a *Agents) watch(ctx context.Context, version string) (string, error) {
	query := url.Values{
		"watch": {"true"}, "resourceVersion": {version}, "allowWatchBookmarks": {"true"}, "timeoutSeconds": {"240"},
	}
	ctx, cancel := context.WithTimeout(ctx, 300*time.Second) // a connection that died says nothing
	defer cancel()
	body, err := a.client.open(ctx, "GET", a.client.inNamespace("pods", "")+"?"+query.Encode(), nil)
	if err != nil {
		return version, err
	}
	defer body.Close()
	events := json.NewDecoder(body)
	for {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := events.Decode(&e); err != nil {
			return version, nil //nolint:nilerr // the watch has ended, as it does now and then
		}
		var p pod
		if e.Type == "ERROR" || json.Unmarshal(e.Object, &p) != nil {
			return version, fmt.Errorf("the watch ended: %.300s", e.Object)
		}
		version = p.Metadata.ResourceVersion
		a.mu.Lock()
		switch e.Type {
		case "ADDED", "MODIFIED":
			a.put(&p)
		case "DELETED":
			delete(a.pods, p.Metadata.Name)
		}
		a.mu.Unlock()
	}
}
