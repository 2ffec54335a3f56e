package kube

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
)

// Command is a program to run in a container of a pod.
type Command struct {
	Namespace, Pod, Container string
	Args                      []string
	In                        io.Reader
	Out, Err                  io.Writer
}

// Exec runs a program in a container, with the user's rights, and returns when
// it ended. It speaks WebSocket, and SPDY to servers and proxies that can't.
func (c *Conn) Exec(ctx context.Context, cmd Command) error {
	base, _, err := rest.DefaultServerUrlFor(c.Config)
	if err != nil {
		return fmt.Errorf("address of the API server: %w", err)
	}
	at := base.JoinPath("api", "v1", "namespaces", cmd.Namespace, "pods", cmd.Pod, "exec")
	at.RawQuery = url.Values{
		"container": {cmd.Container}, "command": cmd.Args,
		"stdin": {"true"}, "stdout": {"true"}, "stderr": {"true"},
	}.Encode()
	socket, err := remotecommand.NewWebSocketExecutor(c.Config, http.MethodGet, at.String())
	if err != nil {
		return err
	}
	spdy, err := remotecommand.NewSPDYExecutor(c.Config, http.MethodPost, at)
	if err != nil {
		return err
	}
	either, err := remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
	if err != nil {
		return err
	}
	return either.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: cmd.In, Stdout: cmd.Out, Stderr: cmd.Err})
}
