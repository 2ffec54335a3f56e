package cli

import (
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/lab"
)

// Target is what commands work on.
type Target int

// The targets.
const (
	TargetDir Target = iota
	TargetLab
	TargetCluster
)

// target finds what commands work on: what was asked for (--dir, --lab,
// --context or --kubeconfig), else for kubectl's plugin the cluster, else a
// running lab, else the cluster that a kubeconfig names. A lab goes first,
// since a change that was meant for a lab does more harm in a cluster than the
// other way round.
func (f *Factory) target() (Target, error) {
	switch {
	case f.Config.GetString("dir") != "":
		return TargetDir, nil
	case f.labAsked:
		return TargetLab, nil
	case f.Config.GetString("context") != "" || f.Config.GetString("kubeconfig") != "" || f.Program != "":
		return TargetCluster, nil
	}
	_, err := lab.Dial(f.Config.GetString("lab"))
	if err == nil {
		return TargetLab, nil
	}
	if !errors.Is(err, lab.ErrNotRunning) {
		return 0, err
	}
	_, err = f.Cluster()
	if errors.Is(err, kube.ErrNoCluster) {
		return TargetLab, nil // whose error says how to start one
	}
	return TargetCluster, err
}

// connect is the cluster that flags, the environment and kubeconfig name.
func (f *Factory) connect() (*kube.Conn, error) {
	if len(f.as.Groups) > 0 && f.as.User == "" {
		return nil, Usage("--as USER --as-group GROUP", "--as-group needs --as")
	}
	conn, err := kube.Connect(kube.Where{Kubeconfig: f.Config.GetString("kubeconfig"), Context: f.Config.GetString("context"), As: f.as})
	if name := f.Config.GetString("context"); err != nil && name != "" && !errors.Is(err, kube.ErrNoCluster) {
		return nil, &Error{What: err.Error(), Try: "kubectl config get-contexts", Err: err}
	}
	if err != nil {
		lab := "netpol lab up" // of which the plugin has to be told
		if f.Program != "" {
			lab = "netpol --lab NAME …"
		}
		return nil, &Error{What: err.Error(), Try: "netpol --kubeconfig FILE --context NAME …, " + lab + ", or netpol --dir DIR …", Err: err}
	}
	return conn, nil
}

// Check says what is wrong with a flag of all commands, also where this one has no
// use for it.
func (f *Factory) Check() error {
	_, err := f.requestTimeout()
	return err
}

// requestTimeout is --request-timeout, as kubectl has it: 0 means none.
func (f *Factory) requestTimeout() (time.Duration, error) {
	text := f.Config.GetString("request-timeout")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, numeric := strconv.Atoi(text); err != nil && numeric == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	switch {
	case err != nil || d < 0:
		return 0, Usage("--request-timeout 30s", "--request-timeout %q: expected a time such as 30s or 2m", text)
	case d == 0:
		return forEver, nil
	}
	return d, nil
}

// Hush makes ready for completion: nothing is written but what it completes to,
// and no request takes longer than d.
func (f *Factory) Hush(d time.Duration) {
	quiet := *f.IO
	quiet.Err, quiet.ErrTerminal = io.Discard, false
	f.IO = &quiet
	if t, err := f.requestTimeout(); err != nil || t == 0 || t > d {
		f.Config.Set("request-timeout", d.String())
	}
}

// forEver is longer than any command runs.
const forEver = 365 * 24 * time.Hour

// NoTarget says that a store could not be opened because nobody said what to work
// on and there is nothing.
func (f *Factory) NoTarget(err error) bool {
	if errors.Is(err, kube.ErrNoCluster) { // kubectl's plugin looks for no lab
		return f.Config.GetString("context") == "" && f.Config.GetString("kubeconfig") == ""
	}
	return errors.Is(err, lab.ErrNotRunning) && !f.labAsked
}
