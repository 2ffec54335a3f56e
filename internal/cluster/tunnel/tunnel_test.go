package tunnel

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// apiServer forwards to a port of this machine by SPDY alone, as API servers
// before 1.31 do; say is what it complains about instead, if anything.
func apiServer(t *testing.T, target, say string) *rest.Config {
	t.Helper()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/proxy/api/v1/namespaces/netpol-system/pods/netpol-flows-1/portforward" {
			http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods is forbidden","code":403}`, http.StatusForbidden)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
			return
		}
		streams := make(chan httpstream.Stream, 2)
		conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error { streams <- s; return nil })
		if conn == nil {
			return
		}
		defer conn.Close()
		failures, data := <-streams, <-streams
		if failures.Headers().Get("streamType") != "error" || data.Headers().Get("port") != "7443" {
			t.Errorf("streams %v, %v", failures.Headers(), data.Headers())
		}
		if say != "" {
			_, _ = io.WriteString(failures, say)
			_ = failures.Close()
			<-conn.CloseChan()
			return
		}
		back, err := net.Dial("tcp", target)
		if err != nil {
			t.Error(err)
			return
		}
		defer back.Close()
		go func() { _, _ = io.Copy(back, data) }()
		go func() { _, _ = io.Copy(data, back) }()
		<-conn.CloseChan()
	})
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return &rest.Config{Host: s.URL + "/proxy"}
}

func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

func TestDialReachesThePod(t *testing.T) {
	c, err := Dial(t.Context(), apiServer(t, echo(t), ""), Pod{"netpol-system", "netpol-flows-1"}, 7443)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestDialTellsWhyNot(t *testing.T) {
	config := apiServer(t, "", "connection refused by the pod")
	c, err := Dial(t.Context(), config, Pod{"netpol-system", "netpol-flows-1"}, 7443)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	done := make(chan error, 1)
	go func() { _, err := c.Read(make([]byte, 1)); done <- err }()
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "connection refused by the pod") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("silence")
	}
	if _, err := Dial(t.Context(), config, Pod{"netpol-system", "other"}, 7443); err == nil || !strings.Contains(err.Error(), "forbidden") {
		t.Errorf("a pod that is forbidden: %v", err)
	}
}
