package node

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/netpol-project/netpol/internal/lab/network"
)

// restartPause is how long a process that died stays away.
const restartPause = 200 * time.Millisecond

// process is a child that is started again when it dies.
type process struct {
	name string // for its log file
	exe  string
	args []string
	ns   *network.Namespace // nil: the node's own
	logs string             // directory
	// talk, if set, is given the child's ends of its standard input and
	// output, and returns when the output ends.
	talk func(in io.WriteCloser, out io.Reader)

	mu       sync.Mutex
	running  bool
	restarts int
}

// state is whether the child runs, and how often it was started again.
func (p *process) state() (running bool, restarts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running, p.restarts
}

// keep runs the child, again and again, until ctx ends. The first start's
// error is returned, and then nothing is kept.
func (p *process) keep(ctx context.Context) error {
	cmd, err := p.start(ctx)
	if err != nil {
		return err
	}
	go func() {
		for {
			err := p.serve(cmd)
			if ctx.Err() != nil {
				return
			}
			log.Printf("%s ended: %v", p.name, err)
			if cmd = p.again(ctx); cmd == nil {
				return
			}
		}
	}()
	return nil
}

// again starts the child once more; nil if ctx ends first.
func (p *process) again(ctx context.Context) *child {
	for {
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return nil
		}
		c, err := p.start(ctx)
		if err == nil {
			p.mu.Lock()
			p.restarts++
			p.mu.Unlock()
			return c
		}
		log.Printf("start %s: %v", p.name, err)
	}
}

// child is one run of a process.
type child struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out io.Reader
	log *os.File
}

func (p *process) start(ctx context.Context) (*child, error) {
	file := filepath.Join(p.logs, strings.ReplaceAll(p.name, "/", "_")+".log")
	logFile, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", p.name, err)
	}
	c := &child{cmd: exec.CommandContext(ctx, p.exe, p.args...), log: logFile}
	c.cmd.Stdout, c.cmd.Stderr = logFile, logFile
	if p.talk != nil {
		c.cmd.Stdout = nil
		if c.in, err = c.cmd.StdinPipe(); err == nil {
			c.out, err = c.cmd.StdoutPipe()
		}
	}
	if err == nil {
		err = inNamespace(p.ns, c.cmd.Start)
	}
	if err != nil {
		_ = logFile.Close()
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.running = true
	p.mu.Unlock()
	return c, nil
}

func inNamespace(ns *network.Namespace, f func() error) error {
	if ns == nil {
		return f()
	}
	return ns.Do(f)
}

// serve waits for the child to end.
func (p *process) serve(c *child) error {
	if p.talk != nil {
		p.talk(c.in, c.out)
	}
	err := c.cmd.Wait()
	_ = c.log.Close()
	p.mu.Lock()
	p.running = false
	p.mu.Unlock()
	return err
}
