package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Up starts a lab.
type Up struct {
	Name string
	// Files are the manifests, as Gather found them.
	Files []plan.File
	// NoAgent leaves the node without its agent: nothing is enforced.
	NoAgent bool
	// LogPrefix begins the lines that Log rules write; empty is the agent's own.
	LogPrefix string
	// Command is what to run for the node, without its arguments: this
	// program and the words of the hidden command.
	Command []string
	// IPv6 says whether the machine has it.
	IPv6 bool
	// Now is when pods are said to have been created.
	Now time.Time
}

// NodeConfig is what the node's process is told, as JSON on descriptor
// ConfigFD.
type NodeConfig struct {
	Name    string `json:"name"`
	Dir     Dir    `json:"dir"`
	NoAgent bool   `json:"noAgent"`
	// LogPrefix is Up's.
	LogPrefix string `json:"logPrefix,omitempty"`
	// Executable runs the processes of the lab.
	Executable string `json:"executable"`
	IPv6       bool   `json:"ipv6"`
}

// Descriptors of the node's process: where it reads its configuration, where
// it tells that it is ready, and the lab's lock, which it only has to hold.
const (
	ConfigFD = 3
	ReadyFD  = 4
	LockFD   = 5
)

// Ready is the one line that the node writes when the lab is up or has failed.
type Ready struct {
	Error string `json:"error,omitempty"`
	// Forbidden: the kernel refused the node what it needs.
	Forbidden bool `json:"forbidden,omitempty"`
}

// launched is a node's process on its way up.
type launched struct {
	cmd   *exec.Cmd
	ready *os.File
	lock  *os.File // ours; the node has its own
}

// Run starts the lab and returns when its pods run, its agent is ready and its
// actors have made their first connections. If it fails or ctx ends, nothing
// is left behind.
func (u *Up) Run(ctx context.Context) (*Client, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	d, err := dirOf(u.Name)
	if err != nil {
		return nil, err
	}
	if d.alive() {
		return nil, running(u.Name)
	}
	if err := validate(u.Files); err != nil {
		return nil, err
	}
	planned, err := plan.Build(u.Files, plan.Options{IPv6: u.IPv6, Created: u.Now.UTC().Format(time.RFC3339)})
	if err != nil {
		return nil, fmt.Errorf("the manifests can't be run:\n%w", err)
	}
	lock, err := u.prepare(d, planned)
	if err != nil {
		return nil, err
	}
	l, err := u.launch(d, lock)
	if err != nil {
		return nil, errors.Join(err, lock.Close(), d.remove())
	}
	if err := l.await(ctx, d); err != nil {
		return nil, err
	}
	return newClient(u.Name, d), nil
}

// validate finds what is wrong in manifests before anything is started or
// written. The error is policy.Faults.
func validate(files []plan.File) error {
	var all policy.Faults
	for _, f := range files {
		_, faults := policy.Decode(f.Given, f.Data)
		all = append(all, faults...)
	}
	return all.Err()
}

// prepare writes the lab's directory, over what a lab that was killed left,
// and returns the lock.
func (u *Up) prepare(d Dir, planned *plan.Result) (*os.File, error) {
	if err := d.makeDir(); err != nil {
		return nil, err
	}
	lock, err := d.lock()
	if errors.Is(err, errLocked) {
		return nil, running(u.Name)
	}
	if err != nil {
		return nil, err
	}
	if err := write(d, planned); err != nil {
		return nil, errors.Join(err, lock.Close(), d.remove())
	}
	return lock, nil
}

func write(d Dir, planned *plan.Result) error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return fmt.Errorf("read the lab's directory: %w", err)
	}
	for _, e := range entries {
		if path := d.path(e.Name()); path != d.lockFile() {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("clear the lab's directory: %w", err)
			}
		}
	}
	for _, dir := range []string{d.Manifests(), d.Logs()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("make the lab's directory: %w", err)
		}
	}
	for _, f := range planned.Files {
		path := filepath.Join(d.Manifests(), f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
		if err := os.WriteFile(path, f.Data, 0o600); err != nil {
			return fmt.Errorf("write manifests: %w", err)
		}
	}
	data, err := json.Marshal(planned.Plan)
	if err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if err := os.WriteFile(d.PlanFile(), data, 0o600); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	return nil
}

// await waits for the node's word. If the lab does not come up its process is
// killed, what it wrote is told, and its directory removed.
func (l *launched) await(ctx context.Context, d Dir) error {
	err := os.WriteFile(d.pidFile(), []byte(strconv.Itoa(l.cmd.Process.Pid)), 0o600)
	if err == nil {
		err = l.word(ctx)
	}
	closeErr := errors.Join(l.ready.Close(), l.lock.Close())
	if err == nil {
		return closeErr
	}
	_ = l.cmd.Process.Kill() // it may have ended by itself
	_ = l.cmd.Wait()         // and how does not matter any more
	if log := tail(d.path("logs/node.log"), 5); log != "" && ctx.Err() == nil && !errors.Is(err, ErrForbidden) {
		err = fmt.Errorf("%w\n%s", err, log)
	}
	return errors.Join(err, d.remove())
}

// word reads the node's one line.
func (l *launched) word(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.ready.Close() })
	defer stop()
	line, err := bufio.NewReader(l.ready).ReadBytes('\n')
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return errors.New("the lab's node ended before it was ready")
	}
	var ready Ready
	if err := json.Unmarshal(line, &ready); err != nil {
		return fmt.Errorf("the lab's node: %w", err)
	}
	switch {
	case ready.Forbidden:
		return forbidden(errors.New(ready.Error))
	case ready.Error != "":
		return fmt.Errorf("the lab did not come up: %s", ready.Error)
	}
	return nil
}
