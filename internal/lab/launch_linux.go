package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// supported says whether this system has what labs are made of.
func supported() error { return nil }

// launch starts the node in new namespaces. root of the user namespace is the
// user who runs this; where root itself may not make one, it goes without.
func (u *Up) launch(d Dir, lock *os.File) (*launched, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	config, err := json.Marshal(NodeConfig{Name: u.Name, Dir: d, NoAgent: u.NoAgent, LogPrefix: u.LogPrefix, Executable: exe, IPv6: u.IPv6})
	if err != nil {
		return nil, fmt.Errorf("tell the node its configuration: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(d.Logs(), "node.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the node's log: %w", err)
	}
	defer log.Close()
	l, err := u.start(config, log, lock, true)
	if err != nil && os.Geteuid() == 0 && isForbidden(err) {
		l, err = u.start(config, log, lock, false)
	}
	if err != nil {
		return nil, err
	}
	l.lock = lock
	return l, nil
}

func (u *Up) start(config []byte, log, lock *os.File, userNamespace bool) (*launched, error) {
	configRead, configWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	readyRead, readyWrite, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a pipe: %w", err), configRead.Close(), configWrite.Close())
	}
	cmd := exec.Command(u.Command[0], u.Command[1:]...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{configRead, readyWrite, lock} // ConfigFD, ReadyFD, LockFD
	cmd.SysProcAttr = namespaces(userNamespace)
	err = cmd.Start()
	_ = configRead.Close()
	_ = readyWrite.Close()
	if err == nil {
		// Fits into the pipe's buffer, so it does not wait for the reader.
		_, err = configWrite.Write(config)
		if err == nil {
			err = configWrite.Close()
		}
		if err == nil {
			return &launched{cmd: cmd, ready: readyRead}, nil
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	_ = configWrite.Close()
	_ = readyRead.Close()
	if isForbidden(err) {
		return nil, forbidden(err)
	}
	return nil, fmt.Errorf("start the lab's node: %w", err)
}

func namespaces(user bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		Setsid:     true, // Ctrl-C in the terminal is not for the lab
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
	}
	if user {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return attr
}

// isForbidden says whether err is how the kernel refuses namespaces.
func isForbidden(err error) bool {
	return errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) ||
		errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) || errors.Is(err, ErrForbidden)
}

// forbidden explains what on this machine forbids namespaces, and how to
// allow them.
func forbidden(err error) error { return explain(err, sysctl, os.Geteuid() == 0) }

func explain(err error, read func(setting string) string, root bool) error {
	h := &Hint{
		What: fmt.Sprintf("this machine does not allow the namespaces that a lab is made of (%v)", err),
		Err:  errors.Join(ErrForbidden, err),
		Try:  "run it as root, or outside of the container that forbids it",
	}
	for _, s := range []struct {
		name, bad, good string
		rootToo         bool
	}{
		{"user.max_user_namespaces", "0", "10000", true},
		{"user.max_net_namespaces", "0", "10000", true},
		{"kernel.unprivileged_userns_clone", "0", "1", false},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", "0", false},
	} {
		if !s.rootToo && root || read(s.name) != s.bad {
			continue
		}
		h.What = fmt.Sprintf("this machine does not allow the namespaces that a lab is made of: %s is %s", s.name, s.bad)
		h.Try = fmt.Sprintf("sudo sysctl -w %s=%s", s.name, s.good)
		if !root {
			h.Try += ", or run it as root"
		}
		return h
	}
	return h
}

func sysctl(name string) string {
	data, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
