//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// serve answers on its ports: HTTP with the pod's name at /, the same by UDP,
// and lines echoed on -echo. /healthz is for kubelet.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	web := flags.String("http", "8080", "ports of HTTP, separated by commas")
	datagrams := flags.String("udp", "", "port of UDP")
	echo := flags.String("echo", "", "port of a TCP server that repeats each line")
	if err := flags.Parse(args); err != nil {
		return err
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for port := range strings.SplitSeq(*web, ",") {
		group.Go(func() error { return serveHTTP(ctx, port, name) })
	}
	if *datagrams != "" {
		group.Go(func() error { return serveUDP(ctx, *datagrams, name) })
	}
	if *echo != "" {
		group.Go(func() error { return serveEcho(ctx, *echo) })
	}
	return group.Wait()
}

func serveHTTP(ctx context.Context, port, name string) error {
	server := &http.Server{
		Addr: ":" + port, ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) }),
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serveUDP(ctx context.Context, port, name string) error {
	conn, err := net.ListenPacket("udp", ":"+port)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = conn.Close() })
	buffer := make([]byte, 2048)
	for {
		_, from, err := conn.ReadFrom(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo([]byte(name+"\n"), from); err != nil {
			fmt.Fprintln(os.Stderr, "answer:", err)
		}
	}
}

func serveEcho(ctx context.Context, port string) error {
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_, _ = io.Copy(conn, conn)
		}()
	}
}

// dial connects once to each address, by HTTP or with -udp by datagram, and
// prints who answered.
func dial(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("dial", flag.ContinueOnError)
	timeout := flags.Duration("timeout", 3*time.Second, "for each address")
	datagrams := flags.Bool("udp", false, "send a datagram")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var wait sync.WaitGroup
	errs := make([]error, flags.NArg())
	answers := make([]string, flags.NArg())
	for i, address := range flags.Args() {
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, *timeout)
			defer cancel()
			ask := askHTTP
			if *datagrams {
				ask = askUDP
			}
			answers[i], errs[i] = ask(ctx, address)
		})
	}
	wait.Wait()
	for i, address := range flags.Args() {
		if errs[i] == nil {
			fmt.Printf("%s %s\n", address, answers[i])
		}
	}
	return errors.Join(errs...)
}

// askHTTP makes a connection for one request.
func askHTTP(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	return strings.TrimSpace(line), err
}

func askUDP(ctx context.Context, address string) (string, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "udp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return "", err
		}
	}
	if _, err := conn.Write([]byte("hello\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}
