package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Client talks to a running lab.
type Client struct {
	name string
	dir  Dir
	http *http.Client
}

// Dial finds a running lab. The error Is ErrNotRunning if there is none of
// that name.
func Dial(name string) (*Client, error) {
	d, err := dirOf(name)
	if err != nil {
		return nil, err
	}
	if !d.alive() {
		return nil, notRunning(name)
	}
	return newClient(name, d), nil
}

func newClient(name string, d Dir) *Client {
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "unix", d.Socket())
	}}
	return &Client{name: name, dir: d, http: &http.Client{Transport: transport}}
}

// Name is the lab's name.
func (c *Client) Name() string { return c.name }

// Dir is the lab's directory.
func (c *Client) Dir() Dir { return c.dir }

// ManifestDir is the directory of manifests that the lab lives by.
func (c *Client) ManifestDir() string { return c.dir.Manifests() }

// AgentSocket is the unix socket on which the lab's agent answers.
func (c *Client) AgentSocket() string { return c.dir.AgentSocket() }

// Status asks the lab how it is.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	if err := c.call(ctx, http.MethodGet, pathStatus, nil, &s); err != nil {
		return nil, err
	}
	s.PID = c.dir.pid()
	return &s, nil
}

// ResetCounters makes all targets count from zero.
func (c *Client) ResetCounters(ctx context.Context) error {
	return c.call(ctx, http.MethodPost, pathReset, nil, nil)
}

// Probe makes connections from the lab's pods.
func (c *Client) Probe(ctx context.Context, req ProbeRequest) (*ProbeReply, error) {
	var reply ProbeReply
	if err := c.call(ctx, http.MethodPost, pathProbe, req, &reply); err != nil {
		return nil, err
	}
	return &reply, nil
}

// call makes one request.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("ask the lab: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lab"+path, body)
	if err != nil {
		return fmt.Errorf("ask the lab: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.failed(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return fmt.Errorf("lab %q: %s", c.name, bytes.TrimSpace(text))
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("lab %q: read its answer: %w", c.name, err)
	}
	return nil
}

// failed says what it means that the lab could not be asked.
func (c *Client) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// One that is just ending closes its socket a moment before its lock.
	if c.dir.awaitEnd(ctx, 500*time.Millisecond) {
		return notRunning(c.name)
	}
	return &Hint{
		What: fmt.Sprintf("lab %q does not answer: %v\nits log: %s", c.name, errors.Unwrap(err), c.dir.path("logs/node.log")),
		Try:  "netpol lab down" + flag(c.name),
		Err:  err,
	}
}

// patience is how long a lab may take to end by itself.
const patience = 3 * time.Second

// Down ends a lab, running or not, and removes all that it left. The error Is
// ErrNotRunning if there is nothing to end.
func Down(ctx context.Context, name string) error {
	d, err := dirOf(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(string(d)); err != nil {
		return notRunning(name)
	}
	if d.alive() {
		// Whether it heard the request shows in whether it ends.
		asked, cancel := context.WithTimeout(ctx, patience)
		_ = newClient(name, d).call(asked, http.MethodPost, pathDown, nil, nil)
		cancel()
		if !d.awaitEnd(ctx, patience) {
			if err := d.kill(ctx); err != nil {
				return fmt.Errorf("lab %q: %w", name, err)
			}
		}
	}
	return d.remove()
}

// kill ends a node that does not listen. Its number is that of a living node,
// not of a process that came after: the lock is held.
func (d Dir) kill(ctx context.Context) error {
	pid := d.pid()
	if pid <= 1 {
		return errors.New("it does not end, and its process is not known")
	}
	if err := killProcess(pid); err != nil {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	if !d.awaitEnd(ctx, patience) {
		return fmt.Errorf("process %d does not end", pid)
	}
	return nil
}

func (d Dir) awaitEnd(ctx context.Context, atMost time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for d.alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return !d.alive()
		}
	}
	return true
}
