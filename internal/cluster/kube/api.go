package kube

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// requestTimeout bounds one request unless Options say otherwise.
const requestTimeout = 30 * time.Second

// api is a connection that requests are sent over. Bodies are handled as the
// JSON that they are; client-go does the transport, the credentials, and the
// waiting that a server asks for (429, Retry-After).
type api struct {
	conn    *Conn
	client  *rest.RESTClient
	timeout time.Duration
	notes   *warnings
}

func newAPI(conn *Conn, opts Options) (*api, error) {
	config := rest.CopyConfig(conn.Config)
	// The server has its own ideas of fairness, and says when it is too much.
	config.QPS = -1
	config.Timeout = 0 // it would end watches; requests have their own
	config.GroupVersion = &schema.GroupVersion{}
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	config.NegotiatedSerializer = statusCodec()
	notes := &warnings{tell: opts.Warn}
	config.WarningHandlerWithContext = notes
	if config.UserAgent == "" {
		config.UserAgent = "netpol"
	}
	client, err := rest.UnversionedRESTClientFor(config)
	if err != nil {
		return nil, connectError(conn, err)
	}
	a := &api{conn: conn, client: client, timeout: opts.Timeout, notes: notes}
	if a.timeout == 0 {
		a.timeout = requestTimeout
	}
	return a, nil
}

// statusCodec reads what a server says when it refuses something.
func statusCodec() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return serializer.NewCodecFactory(scheme).WithoutConversion()
}

// params are the query of a request.
type params map[string]string

func (p params) on(r *rest.Request) *rest.Request {
	for k, v := range p {
		if v != "" {
			r = r.Param(k, v)
		}
	}
	return r
}

// get reads a path.
func (a *api) get(ctx context.Context, path []string, query params) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	return answer(query.on(a.client.Get().AbsPath(path...)).Do(ctx))
}

// answer is a response's body, or the error with all that the server says.
func answer(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

// send carries out a request that writes; created says that the server made
// something that was not there.
func (a *api) send(ctx context.Context, r *rest.Request, query params) (body []byte, created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	code := 0
	body, err = answer(query.on(r).Do(ctx).StatusCode(&code))
	return body, code == 201, err
}

// object is what is read of an object's metadata.
type object struct {
	Metadata struct {
		Name, UID         string
		ResourceVersion   string
		DeletionTimestamp *string
	}
}

func readObject(body []byte) (o object) {
	_ = json.Unmarshal(body, &o) // what is no object has no version
	return o
}

// warnings tells each warning of a server, and each note of ours, once.
type warnings struct {
	tell func(string)
	mu   sync.Mutex
	told map[string]bool
}

// HandleWarningHeaderWithContext is called for every warning in a response.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, code int, _, text string) {
	if code == 299 && text != "" {
		w.once("warning: " + text)
	}
}

func (w *warnings) once(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tell == nil || w.told[text] {
		return
	}
	if w.told == nil {
		w.told = map[string]bool{}
	}
	w.told[text] = true
	w.tell(text)
}
