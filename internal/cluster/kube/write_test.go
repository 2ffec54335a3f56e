package kube_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

// answers is an API server that answers by rote, and the requests that it got.
type answers struct {
	mu    sync.Mutex
	asked []string
}

// answering is a store in a server that gives a method's answers one after the
// other, and the last of them again and again. An answer is a code and a body.
func answering(t *testing.T, script map[string][]string) (*kube.Store, *answers) {
	t.Helper()
	a := &answers{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = append(a.asked, r.Method)
		method := r.Method
		if r.URL.Query().Get("continue") != "" {
			method += " continue"
		}
		list := script[method]
		if len(list) > 1 {
			script[method] = list[1:]
		}
		code, body, _ := strings.Cut(list[0], " ")
		status := http.StatusOK
		_, _ = fmt.Sscan(code, &status)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return open(t, &rest.Config{Host: server.URL}, kube.Options{}), a
}

func (a *answers) count(method string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(a.asked), func(m string) bool { return m != method }))
}

// status is how a server refuses.
func status(code int, reason, details string) string {
	return fmt.Sprintf(`%d {"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no","details":{%s}}`, code, reason, code, details)
}

// theirs has a field that somebody else manages, and manifests do not have.
const theirs = `200 {"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"db","namespace":"vote","uid":"u","resourceVersion":"7",
"managedFields":[{"manager":"gitops","operation":"Apply","apiVersion":"projectcalico.org/v3","fieldsType":"FieldsV1","fieldsV1":{"f:spec":{"f:doNotTrack":{}}}}]},
"spec":{"tier":"default","order":1,"doNotTrack":true}}`

// A policy that is taken over while somebody deletes it is a conflict: nothing is
// made anew of what was only to be changed.
func TestTakingOverWhatIsDeletedMeanwhile(t *testing.T) {
	for about, script := range map[string]map[string][]string{
		"gone":                 {"GET": {theirs}, "PUT": {status(404, "NotFound", `"name":"db"`)}},
		"changed, and gone":    {"GET": {theirs, status(404, "NotFound", "")}, "PUT": {status(409, "Conflict", "")}},
		"changed all the time": {"GET": {theirs}, "PUT": {status(409, "Conflict", "")}},
	} {
		store, asked := answering(t, script)
		_, err := store.ChangeWith(t.Context(), []cluster.Change{{Object: object(t, np("vote", "db", 1))}}, cluster.ChangeOptions{Force: true})
		if !errors.Is(err, cluster.ErrConflict) || asked.count("PUT") == 0 || asked.count("PATCH") != 0 {
			t.Errorf("%s: %v after %v", about, err, asked.asked)
		}
	}
}

// Who manages a field manages it the next time as well.
func TestAFieldConflictIsToldAtOnce(t *testing.T) {
	store, asked := answering(t, map[string][]string{
		"GET":   {status(404, "NotFound", "")},
		"PATCH": {status(409, "Conflict", `"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"gitops\"","field":".spec.order"}]`)},
	})
	_, err := store.Change(t.Context(), []cluster.Change{{Object: object(t, np("vote", "db", 1))}}, false)
	if !errors.Is(err, cluster.ErrConflict) || !strings.Contains(err.Error(), "gitops manages spec.order") || asked.count("PATCH") != 1 {
		t.Errorf("%v after %v", err, asked.asked)
	}
}

// Ctrl-C between two changes: users are told which was made.
func TestInterruptedBetweenChanges(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodGet:
			w.WriteHeader(404)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
		case r.URL.Query().Get("dryRun") == "" && strings.HasSuffix(r.URL.Path, "/two"):
			_, _ = io.Copy(io.Discard, r.Body) // else the server does not see that the client goes
			cancel()
			<-r.Context().Done()
		default:
			w.WriteHeader(201)
			fmt.Fprint(w, strings.Replace(strings.TrimPrefix(theirs, "200 "), `"db"`, `"one"`, 1))
		}
	}))
	defer server.Close()
	store := open(t, &rest.Config{Host: server.URL}, kube.Options{})
	_, err := store.Change(ctx, []cluster.Change{{Object: object(t, np("vote", "one", 1))}, {Object: object(t, np("vote", "two", 2))}}, false)
	var f *cluster.Failure
	want := []string{"done before: NetworkPolicy vote/one created", "not done: NetworkPolicy vote/two"}
	if !errors.As(err, &f) || !errors.Is(err, context.Canceled) || !f.Partly || f.What != "interrupted" || !slices.Equal(f.Where, want) {
		t.Errorf("%+v", err)
	}
}

// A server that forgets the first page before it has told the last one is not
// asked for ever.
func TestListsThatExpireComeToAnEnd(t *testing.T) {
	store, _ := answering(t, map[string][]string{
		"GET":          {`200 {"kind":"NetworkPolicyList","apiVersion":"projectcalico.org/v3","metadata":{"resourceVersion":"7","continue":"x"},"items":[]}`},
		"GET continue": {status(410, "Expired", "")},
	})
	if list, err := store.List(t.Context(), policy.KindNetworkPolicy, ""); !apierrors.IsResourceExpired(err) || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
