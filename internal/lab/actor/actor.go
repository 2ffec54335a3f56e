// Package actor is what runs in a lab's pods: it listens on the ports that the
// pod's containers declare and makes the connections that its annotations
// describe, over real sockets and through the cluster's DNS.
//
// It keeps no counts: it reports each attempt, and the lab's node counts.
package actor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/lab/dns"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// Timeout bounds one attempt, look-up included.
const Timeout = 2 * time.Second

// Config is what an actor is told, as one line of JSON on its standard input.
// A second line, of any content, tells it to begin its connections; the end of
// the input tells it to stop.
type Config struct {
	Name    string        `json:"name"` // shown in its banner: namespace/workload
	Listen  []plan.Port   `json:"listen,omitempty"`
	Targets []plan.Target `json:"targets,omitempty"`
	Every   time.Duration `json:"every"`
	DNS     []netip.Addr  `json:"dns,omitempty"`
	Search  []string      `json:"search,omitempty"`
	// Zone makes the actor the cluster's DNS server.
	Zone dns.Zone `json:"zone,omitempty"`
}

// Event is one line that an actor writes.
type Event struct {
	// Listening says that all ports are open; the other fields are empty then.
	Listening bool `json:"listening,omitempty"`
	// Target is an index into Config.Targets.
	Target int       `json:"target"`
	Start  time.Time `json:"start,omitzero"`
	// Error is empty if the attempt went well.
	Error string `json:"error,omitempty"`
}

// Run is an actor from its first line of input to the end of its input.
func Run(ctx context.Context, in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	line, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("read the actor's configuration: %w", err)
	}
	var c Config
	if err := json.Unmarshal(line, &c); err != nil {
		return fmt.Errorf("read the actor's configuration: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	if err := c.listen(ctx, group); err != nil {
		return err
	}
	report := &reporter{out: json.NewEncoder(out)}
	if err := report.event(Event{Listening: true}); err != nil {
		return err
	}
	group.Go(func() error {
		defer cancel()
		if _, err := lines.ReadBytes('\n'); err != nil {
			return nil // told to stop before it began
		}
		c.connect(ctx, group, report)
		_, err := io.Copy(io.Discard, lines)
		return err
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reporter writes events, one at a time.
type reporter struct {
	mu  sync.Mutex
	out *json.Encoder
}

func (r *reporter) event(e Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.out.Encode(e)
}

// connect starts a loop for each target.
func (c *Config) connect(ctx context.Context, group *errgroup.Group, report *reporter) {
	resolver := &dns.Client{Servers: c.DNS, Search: c.Search}
	for i, t := range c.Targets {
		every := c.Every
		if t.Every > 0 {
			every = t.Every
		}
		group.Go(func() error { return loop(ctx, resolver, i, t, every, report) })
	}
}

// loop makes an attempt at once and then one every interval, never two at a
// time.
func loop(ctx context.Context, resolver *dns.Client, i int, t plan.Target, every time.Duration, report *reporter) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		e := Event{Target: i, Start: time.Now().UTC()}
		err := Attempt(ctx, resolver, t)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			e.Error = err.Error()
		}
		if err := report.event(e); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Attempt looks the target up, connects to its first address and expects an
// answer.
func Attempt(ctx context.Context, resolver *dns.Client, t plan.Target) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	addrs, err := resolver.Lookup(ctx, t.Host)
	if err != nil {
		return err
	}
	network := strings.ToLower(t.Protocol)
	address := netip.AddrPortFrom(addrs[0], t.Port).String()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return short("connect to "+address, err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if network == "udp" {
		if _, err := io.WriteString(conn, "hello\n"); err != nil {
			return short("send to "+address, err)
		}
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		return short("read from "+address, err)
	}
	return nil
}

// short is an error without the addresses that package net repeats in it.
func short(what string, err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer", what)
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return fmt.Errorf("%s: %w", what, err)
}

func portString(p uint16) string { return strconv.Itoa(int(p)) }
