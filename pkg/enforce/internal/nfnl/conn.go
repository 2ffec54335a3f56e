//go:build linux

// Package nfnl is the little of netlink that talking to netfilter needs: a
// socket with known buffers in a known namespace, and attributes.
//
// It knows nothing of rules, connections or logs. It exists beside
// mdlayher/netlink because batches must go through one sendmsg of a size that
// the kernel granted, and because a flood of events must be read without an
// allocation a message and with its loss counted.
package nfnl

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Options say how a socket is opened.
type Options struct {
	// NetNS is a file descriptor of the network namespace; 0 is the current one.
	NetNS int
	// Groups are the multicast groups to join.
	Groups []int
	// ReadBuffer and WriteBuffer are the bytes wished for; 0 leaves the default.
	ReadBuffer, WriteBuffer int
	// Unpolled keeps the socket from the runtime's poller, which would wake up
	// for every message of a burst: Wait, TryReceiveAll and Close are for it,
	// Receive and Interrupt are not.
	Unpolled bool
	// Reliable asks the kernel to keep what could not be delivered and to
	// offer it again (NETLINK_BROADCAST_ERROR).
	Reliable bool
}

// Conn is a netlink socket of the netfilter family. Send and Receive may be
// used at the same time.
type Conn struct {
	file   *os.File
	raw    syscall.RawConn
	portID uint32
	closed atomic.Bool
}

// Open opens a socket.
func Open(o Options) (*Conn, error) {
	fd, err := socketIn(o.NetNS)
	if err != nil {
		return nil, fmt.Errorf("netlink socket: %w", err)
	}
	portID, err := o.prepare(fd)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	if o.Unpolled {
		err = unix.SetNonblock(fd, false) // TryReceiveAll does not wait nevertheless
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	file := os.NewFile(uintptr(fd), "netlink")
	raw, err := file.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Conn{file: file, raw: raw, portID: portID}, nil
}

// socketIn makes the socket in a namespace.
func socketIn(netns int) (fd int, err error) {
	err = InNetNS(netns, func() (err error) {
		const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
		fd, err = unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_NETFILTER)
		return err
	})
	return fd, err
}

// InNetNS calls fn in the network namespace of a file descriptor, on a thread
// that is thrown away; 0 is the current namespace.
func InNetNS(netns int, fn func() error) error {
	if netns == 0 {
		return fn()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace: %w", err)
			return
		}
		done <- fn()
	}()
	return <-done
}

func (o Options) prepare(fd int) (portID uint32, err error) {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, o.ReadBuffer)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, o.WriteBuffer)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("bind netlink socket: %w", err)
	}
	if o.Reliable {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_BROADCAST_ERROR, 1); err != nil {
			return 0, fmt.Errorf("reliable delivery: %w", err)
		}
	}
	for _, group := range o.Groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group); err != nil {
			return 0, fmt.Errorf("join netlink group %d: %w", group, err)
		}
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	own, ok := addr.(*unix.SockaddrNetlink)
	if !ok {
		return 0, fmt.Errorf("netlink socket has an address of type %T", addr)
	}
	return own.Pid, nil
}

// setBuffer takes what it can get: forcing needs rights in the first user
// namespace, asking is limited by the machine's maximum. What was granted is
// asked for afterwards, so a refusal is no error.
func setBuffer(fd, force, ask, size int) {
	if size == 0 {
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, ask, size)
	}
}

// PortID is the socket's address; the kernel names it in what the socket
// caused.
func (c *Conn) PortID() uint32 { return c.portID }

// WriteBuffer is the largest message or batch in bytes that Send takes.
func (c *Conn) WriteBuffer() int {
	size := c.option(unix.SOL_SOCKET, unix.SO_SNDBUF)
	return size - 32 // the kernel keeps so much for itself
}

// ReadBuffer is the granted receive buffer in bytes.
func (c *Conn) ReadBuffer() int { return c.option(unix.SOL_SOCKET, unix.SO_RCVBUF) }

func (c *Conn) option(level, name int) int {
	var value int
	_ = c.raw.Control(func(fd uintptr) { value, _ = unix.GetsockoptInt(int(fd), level, name) })
	return value
}

// SetOption sets an integer socket option.
func (c *Conn) SetOption(level, name, value int) error {
	var err error
	if cerr := c.raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, name, value) }); cerr != nil {
		return cerr
	}
	return err
}

// SetFilter attaches a classic packet filter to what the socket receives.
func (c *Conn) SetFilter(program []unix.SockFilter) error {
	var err error
	fprog := &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	cerr := c.raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, fprog)
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// Drops is how many messages the kernel could not put into the receive
// buffer, since the socket was opened.
func (c *Conn) Drops() uint32 {
	const index = 8 // SK_MEMINFO_DROPS
	var info [9]uint32
	_ = c.raw.Control(func(fd uintptr) { memInfo(fd, &info) })
	return info[index]
}

// Send sends one message or batch.
func (c *Conn) Send(b []byte) error {
	var err error
	werr := c.raw.Write(func(fd uintptr) bool {
		err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return !errors.Is(err, unix.EAGAIN)
	})
	if werr != nil {
		return c.fault(werr)
	}
	return err
}

// Receive waits for a datagram and reads it into buf. ENOBUFS says that
// events were lost; the socket works on.
func (c *Conn) Receive(buf []byte) (int, error) {
	var n int
	var err error
	rerr := c.raw.Read(func(fd uintptr) bool {
		n, err = recv(int(fd), buf)
		return !errors.Is(err, unix.EAGAIN)
	})
	if rerr != nil {
		return 0, c.fault(rerr)
	}
	return n, err
}

// TryReceive is Receive that returns EAGAIN instead of waiting.
func (c *Conn) TryReceive(buf []byte) (int, error) {
	var n int
	var err error
	if cerr := c.raw.Control(func(fd uintptr) { n, err = recv(int(fd), buf) }); cerr != nil {
		return 0, c.fault(cerr)
	}
	return n, err
}

// Wait blocks the thread until there is something to receive, or stop, another
// file descriptor, is readable.
func (c *Conn) Wait(stop int) error {
	var err error
	cerr := c.raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(stop), Events: unix.POLLIN}}
		for {
			if _, err = unix.Poll(fds, -1); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	if cerr != nil {
		return c.fault(cerr)
	}
	return err
}

// fault gives what a raw connection says after Close its usual name.
func (c *Conn) fault(err error) error {
	if c.closed.Load() {
		return os.ErrClosed
	}
	return err
}

func recv(fd int, buf []byte) (int, error) {
	n, _, err := unix.Recvfrom(fd, buf, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
	if err == nil && n > len(buf) {
		return len(buf), fmt.Errorf("netlink message of %d bytes does not fit: %w", n, unix.EMSGSIZE)
	}
	return n, err
}

// Interrupt ends every Receive that waits, now and later, with
// os.ErrDeadlineExceeded.
func (c *Conn) Interrupt() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the socket.
func (c *Conn) Close() error {
	c.closed.Store(true)
	return c.file.Close()
}
