// Package tunnel reaches a port of a pod through the API server, as kubectl
// port-forward does, but without a port on this machine that others could use.
package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// The headers of port forwarding's streams.
const (
	headerType, typeError, typeData = "streamType", "error", "data"
	headerPort, headerRequest       = "port", "requestID"
)

// Pod is a pod whose ports are reached.
type Pod struct {
	Namespace, Name string
}

// Dial connects to a port of the pod. What the pod's end says when it can't
// connect comes as the error of the first read.
func Dial(ctx context.Context, config *rest.Config, pod Pod, port int) (net.Conn, error) {
	type dialled struct {
		conn net.Conn
		err  error
	}
	done := make(chan dialled, 1)
	go func() { // neither dialer knows of contexts
		conn, err := dial(config, pod, port)
		done <- dialled{conn, err}
	}()
	select {
	case d := <-done:
		return d.conn, d.err
	case <-ctx.Done():
		go func() {
			if d := <-done; d.err == nil {
				_ = d.conn.Close()
			}
		}()
		return nil, ctx.Err()
	}
}

func dial(config *rest.Config, pod Pod, port int) (net.Conn, error) {
	dialer, err := newDialer(config, pod)
	if err != nil {
		return nil, err
	}
	session, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("forward a port to pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		_ = session.Close()
		return nil, fmt.Errorf("forward a port to pod %s/%s: the API server speaks %q", pod.Namespace, pod.Name, protocol)
	}
	c, err := open(session, port)
	if err != nil {
		_ = session.Close()
		return nil, fmt.Errorf("forward a port to pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return c, nil
}

// newDialer prefers WebSocket, which proxies let through; API servers before
// 1.31 have SPDY alone.
func newDialer(config *rest.Config, pod Pod) (httpstream.Dialer, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	where := base.JoinPath("api/v1/namespaces", url.PathEscape(pod.Namespace), "pods", url.PathEscape(pod.Name), "portforward")
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	older := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, where)
	newer, err := portforward.NewSPDYOverWebsocketDialerForStreaming(where, config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialerForStreaming(newer, older, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// open makes the two streams of one connection.
func open(session httpstream.Connection, port int) (net.Conn, error) {
	headers := http.Header{}
	headers.Set(headerType, typeError)
	headers.Set(headerPort, strconv.Itoa(port))
	headers.Set(headerRequest, "0")
	failures, err := session.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	_ = failures.Close() // nothing is written to it
	headers.Set(headerType, typeData)
	data, err := session.CreateStream(headers)
	if err != nil {
		return nil, err
	}
	c := &conn{session: session, data: data, failed: make(chan struct{})}
	go c.listen(failures)
	return c, nil
}

// conn is one forwarded connection.
type conn struct {
	session httpstream.Connection
	data    httpstream.Stream
	once    sync.Once

	failed  chan struct{} // closed after failure is set
	failure error
}

// listen waits for what the pod's end has to complain about.
func (c *conn) listen(failures io.Reader) {
	text, _ := io.ReadAll(io.LimitReader(failures, 4096))
	if len(text) > 0 {
		c.failure = fmt.Errorf("forwarding to the pod: %s", text)
		close(c.failed)
		_ = c.Close()
	}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	return n, c.why(err)
}

func (c *conn) Write(p []byte) (int, error) {
	n, err := c.data.Write(p)
	return n, c.why(err)
}

// why is the pod's end's reason for an error, if it gave one.
func (c *conn) why(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-c.failed:
		return c.failure
	default:
		return err
	}
}

func (c *conn) Close() (err error) {
	c.once.Do(func() { err = c.session.Close() })
	return err
}

// address is where no address is.
type address string

func (address) Network() string  { return "tunnel" }
func (a address) String() string { return string(a) }

func (c *conn) LocalAddr() net.Addr  { return address("here") }
func (c *conn) RemoteAddr() net.Addr { return address("pod") }

// Deadlines are not known to the streams; who needs one closes the connection.
func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
