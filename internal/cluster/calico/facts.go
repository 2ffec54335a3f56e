package calico

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/netpol-project/netpol/internal/cluster/kube"
)

// System is the namespace that the Tigera operator puts Calico into.
const System = "calico-system"

// Detect finds out about Calico on a cluster. Rights that are missing are no
// error.
func Detect(ctx context.Context, conn *kube.Conn, timeout time.Duration) (Info, error) {
	raw, err := kube.NewRaw(conn, timeout)
	if err != nil {
		return Info{}, err
	}
	f, err := facts(ctx, raw, false)
	if err != nil {
		return Info{}, raw.Failure("look for Calico", err)
	}
	return Decide(f), nil
}

// Signs are what there is of Calico on a cluster, as far as it may be read, in
// words: also what has no agent (yet).
func Signs(ctx context.Context, conn *kube.Conn, timeout time.Duration) ([]string, error) {
	raw, err := kube.NewRaw(conn, timeout)
	if err != nil {
		return nil, err
	}
	f, err := facts(ctx, raw, true)
	if err != nil {
		return nil, raw.Failure("look for Calico", err)
	}
	return f.signs(), nil
}

// reader reads facts. What is not there is no error.
type reader struct {
	raw *kube.Raw
	ctx context.Context

	mu    sync.Mutex
	facts *Facts
	err   error
}

// facts reads what tells of Calico; all of it, or what a cluster that has no
// kinds of Calico's can't have left out.
func facts(ctx context.Context, raw *kube.Raw, all bool) (*Facts, error) {
	r := &reader{raw: raw, ctx: ctx, facts: &Facts{}}
	var groups metav1.APIGroupList
	r.get(&groups, "discover", "/apis")
	for _, g := range groups.Groups {
		r.facts.Groups = append(r.facts.Groups, g.Name)
	}
	public, stored := slices.Contains(r.facts.Groups, publicGroup), slices.Contains(r.facts.Groups, storedGroup)
	if public {
		var list metav1.APIResourceList
		r.get(&list, "discover", "/apis", publicGroup, "v3")
		for _, res := range list.APIResources {
			r.facts.Public = append(r.facts.Public, res.Name)
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	reads := []func(){r.agents}
	if all {
		reads = append(reads, r.operator)
	}
	own := slices.ContainsFunc(calicosOwn, func(name string) bool { return slices.Contains(r.facts.Public, name) })
	if own || stored || all {
		reads = append(reads, r.apiService, r.clusterInformation, r.installation, r.goldmane)
	}
	var wait sync.WaitGroup
	for _, read := range reads {
		wait.Go(read)
	}
	wait.Wait()
	return r.facts, r.err
}

// get reads a document; what is the right that it needs. Calico's own API server
// may be away, which is a fact too; the API server itself may not.
func (r *reader) get(into any, what string, path ...string) bool {
	body, err := r.raw.Get(r.ctx, path...)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case apierrors.IsNotFound(err), apierrors.IsServiceUnavailable(err) && slices.ContainsFunc(path, isPublic):
		return false
	case apierrors.IsForbidden(err):
		r.facts.Denied = append(r.facts.Denied, what)
		slices.Sort(r.facts.Denied)
		return false
	case err == nil:
		err = json.Unmarshal(body, into)
	}
	if err != nil && r.err == nil {
		r.err = err
	}
	return err == nil
}

// isPublic says whether a part of a path is that of the group that Calico's API
// server answers for.
func isPublic(part string) bool {
	return part == publicGroup || strings.HasPrefix(part, publicGroup+"/")
}

func (r *reader) apiService() {
	var doc struct {
		Spec struct {
			Service *struct{ Namespace, Name string }
		}
		Status struct {
			Conditions []struct{ Type, Status, Reason, Message string }
		}
	}
	if !r.get(&doc, "get apiservices.apiregistration.k8s.io/v3.projectcalico.org", "/apis/apiregistration.k8s.io/v1/apiservices/v3."+publicGroup) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.APIServiceRead = true
	if doc.Spec.Service == nil {
		return
	}
	r.facts.Service = doc.Spec.Service.Namespace + "/" + doc.Spec.Service.Name
	for _, c := range doc.Status.Conditions {
		if c.Type == "Available" && c.Status != "True" {
			r.facts.Trouble = c.Reason + ": " + c.Message
		}
	}
}

func (r *reader) clusterInformation() {
	var doc struct {
		Spec struct{ CalicoVersion, CNXVersion string }
	}
	for _, api := range []string{publicGroup + "/v3", storedGroup + "/v1"} {
		if r.get(&doc, "get clusterinformations."+api[:len(api)-3]+"/default", "/apis", api, "clusterinformations", "default") {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.CalicoVersion, r.facts.EnterpriseVersion = doc.Spec.CalicoVersion, doc.Spec.CNXVersion
}

func (r *reader) installation() {
	var doc struct {
		Status struct{ CalicoVersion string }
	}
	r.get(&doc, "get installations.operator.tigera.io/default", "/apis/operator.tigera.io/v1/installations/default")
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.OperatorVersion = doc.Status.CalicoVersion
}

func (r *reader) goldmane() {
	var doc struct {
		Metadata struct{ Name string }
		Spec     struct {
			Ports []struct {
				Port       int
				TargetPort any
			}
		}
	}
	if !r.get(&doc, "get services/goldmane -n "+System, "/api/v1/namespaces", System, "services", "goldmane") || len(doc.Spec.Ports) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.facts.Goldmane = &Service{Namespace: System, Name: doc.Metadata.Name, Port: doc.Spec.Ports[0].Port}
	if n, ok := doc.Spec.Ports[0].TargetPort.(float64); ok {
		r.facts.Goldmane.Port = int(n)
	}
}
