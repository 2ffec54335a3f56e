package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Process is a server that a test started. It dies with the test's process,
// however that ends.
type Process struct {
	name, log string
	cmd       *exec.Cmd
	exited    chan struct{}
	err       error // of Wait; to be read after exited
}

// stopTimeout is what a server gets for an orderly end.
const stopTimeout = 10 * time.Second

// StartProcess starts a program; what it prints goes to NAME.log in dir.
func StartProcess(dir, path string, args ...string) (*Process, error) {
	cmd := exec.Command(path, args...)
	return StartCmd(dir, filepath.Base(path), cmd)
}

// StartCmd is StartProcess for a command that was made ready by the caller.
func StartCmd(dir, name string, cmd *exec.Cmd) (*Process, error) {
	p := &Process{name: name, log: filepath.Join(dir, name+".log"), cmd: cmd, exited: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	dieWithParent(cmd)
	started := make(chan error, 1)
	go func() {
		// The parent-death signal follows the thread that forked: it must live
		// as long as the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.err = cmd.Wait()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", p.name, err)
	}
	return p, nil
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Log is the file that holds what the process printed.
func (p *Process) Log() string { return p.log }

// Await asks until ready has no error. It fails with the end of the log when
// the process ends or takes too long.
func (p *Process) Await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended: %v\n%s", p.name, p.err, p.Tail())
		case <-ctx.Done():
			p.Kill()
			return fmt.Errorf("%s is not ready (%w): %w\n%s", p.name, ctx.Err(), err, p.Tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Stop asks the process to end and waits for it; a nil process has ended.
func (p *Process) Stop() {
	if p == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		p.Kill()
	}
}

// Kill ends the process without asking.
func (p *Process) Kill() {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return
	}
	<-p.exited
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	const lines = 30
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
