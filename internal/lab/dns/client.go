package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Client looks names up as a pod's resolver does: search domains, A and AAAA,
// UDP first, TCP when an answer was cut short.
type Client struct {
	Servers []netip.Addr
	Search  []string
	// Port of the servers; 0 means 53.
	Port uint16
}

// ndots as a kubelet sets it: names with fewer dots are searched first.
const ndots = 5

// tries and tryTime bound a look-up: within them a lost datagram is sent again.
const (
	tries   = 2
	tryTime = time.Second
)

// Lookup returns the addresses of host, IPv4 first. An address is its own
// answer.
func (c *Client) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("look up %s: no DNS server", host)
	}
	config := dns.ClientConfig{Search: c.Search, Ndots: ndots}
	last := fmt.Errorf("look up %s: no such name", host)
	for _, name := range config.NameList(host) {
		addrs, rcode, err := c.both(ctx, name)
		switch {
		case err != nil:
			return nil, fmt.Errorf("look up %s: %w", host, err)
		case len(addrs) > 0:
			return addrs, nil
		case rcode != dns.RcodeNameError && rcode != dns.RcodeSuccess && rcode != dns.RcodeRefused:
			last = fmt.Errorf("look up %s: %s", host, dns.RcodeToString[rcode])
		}
	}
	return nil, last
}

// both asks for A and AAAA.
func (c *Client) both(ctx context.Context, name string) ([]netip.Addr, int, error) {
	var out []netip.Addr
	rcode := dns.RcodeSuccess
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		reply, err := c.exchange(ctx, new(dns.Msg).SetQuestion(name, qtype))
		if err != nil {
			return nil, 0, err
		}
		if reply.Rcode != dns.RcodeSuccess {
			rcode = reply.Rcode
		}
		for _, rr := range reply.Answer {
			if a, ok := address(rr); ok && !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
		if rcode == dns.RcodeNameError {
			break // neither family has it
		}
	}
	return out, rcode, nil
}

func address(rr dns.RR) (netip.Addr, bool) {
	switch rr := rr.(type) {
	case *dns.A:
		return netip.AddrFromSlice(rr.A.To4())
	case *dns.AAAA:
		return netip.AddrFromSlice(rr.AAAA)
	}
	return netip.Addr{}, false
}

// exchange asks the first server, twice, then the next one.
func (c *Client) exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	port := c.Port
	if port == 0 {
		port = 53
	}
	var last error
	for _, s := range c.Servers {
		server := netip.AddrPortFrom(s, port).String()
		for range tries {
			reply, err := once(ctx, "udp", q, server)
			if err == nil && reply.Truncated {
				reply, err = once(ctx, "tcp", q, server)
			}
			if err == nil {
				return reply, nil
			}
			last = err
			if ctx.Err() != nil {
				return nil, describe(ctx, last, server)
			}
		}
	}
	return nil, describe(ctx, last, netip.AddrPortFrom(c.Servers[0], port).String())
}

func once(ctx context.Context, network string, q *dns.Msg, server string) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	client := dns.Client{Net: network, Timeout: tryTime}
	reply, _, err := client.ExchangeContext(ctx, q, server)
	return reply, err
}

// describe says "no answer" for what a firewall does to a resolver.
func describe(ctx context.Context, err error, server string) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || ctx.Err() != nil {
		return fmt.Errorf("no answer from DNS at %s", server)
	}
	return err
}
