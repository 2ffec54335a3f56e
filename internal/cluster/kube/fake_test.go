package kube_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

// fake is an API server that lists and watches, and fails as it is told. It
// knows nothing of schemas, names or rights.
type fake struct {
	*httptest.Server
	mu      sync.Mutex
	version int
	objects map[string]map[string]map[string]any // by collection and name
	events  []event
	conns   map[chan struct{}]bool
	news    *sync.Cond

	// How it fails.
	noWatchList bool
	endless     bool            // never says that a list by watching is whole
	absent      map[string]bool // collections that there are not
	listed      bool            // those are in its list all the same
	starting    bool            // it says that it is not up yet
	expired     int             // versions up to this one are forgotten
	refuse      []int           // codes of the next answers
	silent      map[string]bool // collections whose watches say nothing
	warning     string
	asked       []string
}

type event struct {
	version    int
	collection string
	kind       string
	object     map[string]any
}

func newFake(t testing.TB) *fake {
	f := &fake{version: 10, objects: map[string]map[string]map[string]any{}, absent: map[string]bool{}, silent: map[string]bool{}, conns: map[chan struct{}]bool{}}
	f.news = sync.NewCond(&f.mu)
	f.Server = httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(func() {
		f.breakWatches()
		f.Close()
	})
	return f
}

func (f *fake) config() *rest.Config { return &rest.Config{Host: f.URL} }

// put writes an object.
func (f *fake) put(t testing.TB, manifest string) int {
	t.Helper()
	var u map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &u); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	c, name := collectionOf(u)
	kind := "ADDED"
	if f.objects[c] == nil {
		f.objects[c] = map[string]map[string]any{}
	} else if f.objects[c][name] != nil {
		kind = "MODIFIED"
	}
	u["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(f.version)
	f.objects[c][name] = u
	f.tell(event{f.version, c, kind, u})
	return f.version
}

// drop deletes an object; quietly, so that no watch tells it, if it says so.
func (f *fake) drop(t testing.TB, manifest string, quietly bool) {
	t.Helper()
	var u map[string]any
	if err := yaml.Unmarshal([]byte(manifest), &u); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	c, name := collectionOf(u)
	old := f.objects[c][name]
	delete(f.objects[c], name)
	if !quietly {
		old["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(f.version)
		f.tell(event{f.version, c, "DELETED", old})
	}
}

func (f *fake) tell(e event) {
	f.events = append(f.events, e)
	f.news.Broadcast()
}

// set changes how it fails.
func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.news.Broadcast()
}

// breakWatches cuts every watch off.
func (f *fake) breakWatches() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		close(c)
		delete(f.conns, c)
	}
	f.news.Broadcast()
}

// collectionOf is the path of an object's collection over all namespaces.
func collectionOf(u map[string]any) (path, name string) {
	meta := u["metadata"].(map[string]any)
	group, version, ok := strings.Cut(u["apiVersion"].(string), "/")
	if !ok {
		group, version = "", group
	}
	for _, k := range kube.AgentKinds() {
		if r, _ := kube.ResourceOf(k); r.Group == group && r.Version == version && r.Kind == u["kind"] {
			return collection(k), fmt.Sprint(meta["namespace"], "/", meta["name"])
		}
	}
	panic("no such kind")
}

func collection(k policy.Kind) string {
	r, _ := kube.ResourceOf(k)
	if r.Group == "" {
		return "/api/" + r.Version + "/" + r.GroupVersionResource.Resource
	}
	return "/apis/" + r.Group + "/" + r.Version + "/" + r.GroupVersionResource.Resource
}

func refuse(w http.ResponseWriter, code int, reason string) {
	if code == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Too many requests, please try again later.", code)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"the test says so"}`, reason, code)
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, r.Method+" "+r.URL.String())
	if f.warning != "" {
		w.Header().Add("Warning", fmt.Sprintf("299 - %q", f.warning))
	}
	version, _ := strconv.Atoi(q.Get("resourceVersion"))
	switch {
	case len(f.refuse) > 0:
		code := f.refuse[0]
		f.refuse = f.refuse[1:]
		refuse(w, code, map[int]string{429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable"}[code])
	case r.URL.Path == "/readyz" && f.starting:
		http.Error(w, "[-]poststarthook/crd-informer-synced failed: reason withheld", 500)
	case f.listed && strings.Count(r.URL.Path, "/") == 3 && !strings.HasPrefix(r.URL.Path, "/api/"):
		f.discovery(w, r.URL.Path)
	case f.absent[r.URL.Path]:
		refuse(w, 404, "NotFound")
	case q.Get("watch") != "true":
		f.list(w, r)
	case q.Get("sendInitialEvents") == "true" && f.noWatchList:
		refuse(w, 422, "Invalid")
	case q.Get("resourceVersion") != "" && version < f.expired:
		refuse(w, 410, "Expired")
	default:
		f.watch(w, r, version)
	}
}

func (f *fake) sorted(path string) []map[string]any {
	var out []map[string]any
	var names []string
	for n := range f.objects[path] {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		out = append(out, f.objects[path][n])
	}
	return out
}

// discovery is the list of what the server has of an API.
func (f *fake) discovery(w http.ResponseWriter, path string) {
	var out []map[string]any
	for _, k := range kube.AgentKinds() {
		if r, _ := kube.ResourceOf(k); "/apis/"+r.Group+"/"+r.Version == path {
			out = append(out, map[string]any{"name": r.GroupVersionResource.Resource, "kind": r.Kind, "namespaced": r.Namespaced})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "APIResourceList", "apiVersion": "v1", "resources": out})
}

func (f *fake) list(w http.ResponseWriter, r *http.Request) {
	all := f.sorted(r.URL.Path)
	from, _ := strconv.Atoi(r.URL.Query().Get("continue"))
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	meta := map[string]any{"resourceVersion": strconv.Itoa(f.version)}
	to := len(all)
	if limit > 0 && from+limit < to {
		to = from + limit
		meta["continue"] = strconv.Itoa(to)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "List", "apiVersion": "v1", "metadata": meta, "items": all[from:to]})
}

// watch sends events until it is cut off. f.mu is held but while it waits.
func (f *fake) watch(w http.ResponseWriter, r *http.Request, version int) {
	cut := make(chan struct{})
	f.conns[cut] = true
	send := func(kind string, object any) {
		_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object})
		w.(http.Flusher).Flush()
	}
	w.Header().Set("Content-Type", "application/json")
	w.(http.Flusher).Flush()
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for f.silent[r.URL.Path] && f.conns[cut] {
			f.news.Wait()
		}
		for _, u := range f.sorted(r.URL.Path) {
			send("ADDED", u)
		}
		version = f.version
		if !f.endless {
			send("BOOKMARK", map[string]any{"metadata": map[string]any{"resourceVersion": strconv.Itoa(version), "annotations": map[string]any{"k8s.io/initial-events-end": "true"}}})
		}
	}
	next := 0
	for f.conns[cut] && r.Context().Err() == nil {
		for ; next < len(f.events) && !f.silent[r.URL.Path]; next++ {
			if e := f.events[next]; e.version > version && e.collection == r.URL.Path {
				send(e.kind, e.object)
			}
		}
		f.news.Wait()
	}
}
