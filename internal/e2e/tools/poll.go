//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// attempt is a line that poll and hold print: what happened when. Lines of
// attempts that went well are left out, but for a count every second.
type attempt struct {
	Time   time.Time `json:"time"`
	Target string    `json:"target"`
	Good   int       `json:"good,omitempty"`  // attempts that went well since the last line
	Error  string    `json:"error,omitempty"` // of one attempt
}

type printer struct {
	mu   sync.Mutex
	json *json.Encoder
}

func (p *printer) print(a attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.json.Encode(a); err != nil {
		fmt.Fprintln(os.Stderr, "tools:", err)
	}
}

// poll makes a connection to each address again and again until it is told to
// stop.
func poll(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("poll", flag.ContinueOnError)
	every := flags.Duration("every", 10*time.Millisecond, "between two attempts")
	timeout := flags.Duration("timeout", 3*time.Second, "of an attempt; a lost SYN is sent again after 1 s")
	if err := flags.Parse(args); err != nil {
		return err
	}
	out := &printer{json: json.NewEncoder(os.Stdout)}
	var wait sync.WaitGroup
	for _, address := range flags.Args() {
		wait.Go(func() { pollOne(ctx, out, address, *every, *timeout) })
	}
	wait.Wait()
	return nil
}

func pollOne(ctx context.Context, out *printer, address string, every, timeout time.Duration) {
	results := make(chan attempt)
	var wait sync.WaitGroup
	wait.Go(func() { tally(ctx, out, address, results) })
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for ctx.Err() == nil {
		wait.Go(func() {
			start := time.Now()
			err := connect(ctx, address, timeout)
			if ctx.Err() != nil {
				return
			}
			result := attempt{Time: start, Target: address}
			if err != nil {
				result.Error = err.Error()
			}
			select {
			case results <- result:
			case <-ctx.Done():
			}
		})
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	wait.Wait()
}

// connect makes a connection. One that came about only because a lost packet
// was sent again is an error: how long it took says little on a busy machine.
func connect(ctx context.Context, address string, timeout time.Duration) error {
	conn, err := (&net.Dialer{Timeout: timeout}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var info *unix.TCPInfo
	control := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err := errors.Join(control, err); err != nil {
		return err
	}
	if info.Total_retrans > 0 {
		return fmt.Errorf("connected, but %d packets were lost", info.Total_retrans)
	}
	return nil
}

// tally prints what failed at once and counts what went well.
func tally(ctx context.Context, out *printer, address string, results <-chan attempt) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	good := 0
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			out.print(attempt{Time: now, Target: address, Good: good})
			good = 0
		case result := <-results:
			if result.Error != "" {
				out.print(result)
			} else {
				good++
			}
		}
	}
}

// hold keeps one connection to an echo server and says every time that a line
// comes back, until it breaks: hold ADDRESS.
func hold(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: hold ADDRESS")
	}
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(ctx, "tcp", args[0])
	if err != nil {
		return err
	}
	defer conn.Close()
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	out := &printer{json: json.NewEncoder(os.Stdout)}
	reader := bufio.NewReader(conn)
	for ctx.Err() == nil {
		err := conn.SetDeadline(time.Now().Add(15 * time.Second))
		if err == nil {
			_, err = conn.Write([]byte("hello\n"))
		}
		if err == nil {
			_, err = reader.ReadString('\n')
		}
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			out.print(attempt{Time: time.Now(), Target: args[0], Error: err.Error()})
			return err
		}
		out.print(attempt{Time: time.Now(), Target: args[0], Good: 1})
		time.Sleep(200 * time.Millisecond)
	}
	return nil
}
