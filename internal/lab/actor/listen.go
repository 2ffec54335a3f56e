package actor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/lab/dns"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// idle is how long a server keeps a connection on which nothing is said.
const idle = 10 * time.Minute

// listen opens all ports, for IPv4 and IPv6 at once, and serves them until ctx
// ends.
func (c *Config) listen(ctx context.Context, group *errgroup.Group) error {
	if c.Zone != nil {
		return c.serveDNS(ctx, group)
	}
	open := map[plan.Port]bool{} // a port may have several names
	for _, p := range c.Listen {
		if p.Name = ""; open[p] {
			continue
		}
		open[p] = true
		if p.Protocol == plan.UDP {
			conn, err := net.ListenPacket("udp", ":"+portString(p.Port))
			if err != nil {
				return fmt.Errorf("listen: %w", err)
			}
			group.Go(func() error { return c.serveUDP(ctx, conn) })
			continue
		}
		l, err := net.Listen("tcp", ":"+portString(p.Port))
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		group.Go(func() error { return c.serveTCP(ctx, l) })
	}
	return nil
}

func (c *Config) serveDNS(ctx context.Context, group *errgroup.Group) error {
	udp, err := net.ListenPacket("udp", ":53")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	tcp, err := net.Listen("tcp", ":53")
	if err != nil {
		return errors.Join(fmt.Errorf("listen: %w", err), udp.Close())
	}
	group.Go(func() error { return dns.Serve(ctx, c.Zone, udp, tcp) })
	return nil
}

func (c *Config) banner() string { return "netpol actor " + c.Name + "\n" }

// serveTCP greets each connection with the banner and echoes what it is sent.
func (c *Config) serveTCP(ctx context.Context, l net.Listener) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		go c.talk(ctx, conn)
	}
}

// talk serves one connection. Its errors are the client's to notice.
func (c *Config) talk(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	if _, err := io.WriteString(conn, c.banner()); err != nil {
		return
	}
	lines := bufio.NewReaderSize(conn, 4096)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(idle)); err != nil {
			return
		}
		line, err := lines.ReadSlice('\n')
		if len(line) > 0 {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// serveUDP answers each datagram with the banner.
func (c *Config) serveUDP(ctx context.Context, conn net.PacketConn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	buf := make([]byte, 2048)
	for {
		_, from, err := conn.ReadFrom(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		// One that can't be answered is a client that is gone.
		_, _ = conn.WriteTo([]byte(c.banner()), from)
	}
}
