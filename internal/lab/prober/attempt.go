package prober

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// attempt is a Task under way. bound gets the source address once.
type attempt struct {
	Task
	agent Agent
	bound chan netip.AddrPort
	// timeout is how long the connection may take, giveUp what ends it then.
	timeout time.Duration
	giveUp  context.CancelFunc
	timer   *time.Timer // nil before the connection begins
	id      uint16      // of an echo request
}

// connect succeeds when the other side answered.
func (a *attempt) connect(ctx context.Context) error {
	defer func() {
		if a.timer != nil {
			a.timer.Stop()
		}
	}()
	switch a.Protocol {
	case TCP, UDP:
		return a.dial(ctx)
	case ICMP, ICMPv6:
		return a.ping(ctx)
	}
	return fmt.Errorf("there is no prober for %s", a.Protocol)
}

func (a *attempt) dial(ctx context.Context) error {
	dialer := net.Dialer{
		// A second connection attempt would be another connection.
		FallbackDelay: -1,
		ControlContext: func(ctx context.Context, _, _ string, c syscall.RawConn) error {
			return a.bindAndRegister(ctx, c)
		},
	}
	conn, err := dialer.DialContext(ctx, strings.ToLower(a.Protocol), a.Destination.String())
	if err != nil || a.Protocol == TCP {
		if conn != nil {
			_ = conn.Close()
		}
		return err
	}
	defer conn.Close()
	return a.ask(ctx, conn)
}

func (a *attempt) from(source netip.AddrPort) Attempt {
	return Attempt{a.Protocol, source, a.Destination}
}

// register tells the agent of the source, and only then lets the connection
// begin, and its time.
func (a *attempt) register(ctx context.Context, source netip.AddrPort) error {
	if a.agent != nil {
		registering, cancel := context.WithTimeout(ctx, registerPatience)
		defer cancel()
		if err := a.agent.Register(registering, a.from(source)); err != nil {
			return fmt.Errorf("register the probe with the agent: %w", err)
		}
	}
	a.bound <- source
	a.timer = time.AfterFunc(a.timeout, a.giveUp)
	return nil
}

// datagramTries is how often a datagram is sent: one may be lost for reasons that
// are no policy's.
const datagramTries = 3

// ask sends a datagram and waits for an answer.
func (a *attempt) ask(ctx context.Context, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	payload, err := a.payload()
	if err != nil {
		return err
	}
	pause := a.timeout / datagramTries
	buf := make([]byte, 2048)
	for range datagramTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err = conn.Write(payload); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(pause)); err != nil {
			return err
		}
		if _, err = conn.Read(buf); err == nil || !isTimeout(err) {
			return err
		}
	}
	return err
}

// payload is a question that a server on the port can be expected to answer.
func (a *attempt) payload() ([]byte, error) {
	if a.Destination.Port() == 53 {
		return new(dns.Msg).SetQuestion("kube-dns.kube-system.svc.cluster.local.", dns.TypeA).Pack()
	}
	return []byte("netpol probe\n"), nil
}

// firstAsk is when a denial is first asked for; each further question waits
// half as long again, up to lastAsk.
const (
	firstAsk = 3 * time.Millisecond
	lastAsk  = 100 * time.Millisecond
)

// awaitDenial asks the agent again and again until it has a record of the
// kernel's refusal or ctx ends.
func (a *attempt) awaitDenial(ctx context.Context) *Denial {
	var source netip.AddrPort
	select {
	case source = <-a.bound:
	case <-ctx.Done():
		return nil
	}
	for wait := firstAsk; ; wait = min(wait*3/2, lastAsk) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
		d, err := a.agent.Denied(ctx, a.from(source))
		if err == nil && d != nil {
			return d
		}
	}
}
