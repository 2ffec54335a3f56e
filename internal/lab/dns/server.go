package dns

import (
	"context"
	"errors"
	"net"

	"github.com/miekg/dns"
)

// Serve answers queries on both sockets until ctx ends or one of them fails.
// It closes them.
func Serve(ctx context.Context, zone Zone, udp net.PacketConn, tcp net.Listener) error {
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		reply := zone.Answer(q)
		if w.LocalAddr().Network() == "udp" {
			reply.Truncate(size(q))
		}
		// A client that is gone by now asks again if it still wants to know.
		_ = w.WriteMsg(reply)
	})
	failed := make(chan error, 2)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		go func() { failed <- s.ActivateAndServe() }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	return errors.Join(err, ignoreClosed(udp.Close()), ignoreClosed(tcp.Close()))
}

func size(q *dns.Msg) int {
	if opt := q.IsEdns0(); opt != nil {
		return int(opt.UDPSize())
	}
	return dns.MinMsgSize
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
