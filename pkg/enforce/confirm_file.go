//go:build linux

package enforce

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// trialFile is where an agent keeps, for the next one on its node, when it first
// saw each trial. Times are counted from the start of the machine, so what was
// written before that means nothing.
type trialFile struct {
	// dirs are where it may be, the best first: the directory of flows, which
	// outlasts the agent's pod, and that of the socket, which need not.
	dirs []string
}

const trialFileName = "trials.json"

func trialFileIn(opts *Options) trialFile {
	dirs := []string{filepath.Dir(opts.Socket)}
	if opts.Data != "" {
		dirs = append([]string{opts.Data}, dirs...)
	}
	return trialFile{dirs}
}

// trialRecord is one trial in the file. Durations are in nanoseconds.
type trialRecord struct {
	Kind, Namespace, Name string
	Revision              uint64
	By                    time.Time
	Within, First, Lasts  time.Duration
}

type trialRecords struct {
	Boot   string
	Trials []trialRecord
}

// bootID tells one start of the machine from another.
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
}

// read is what all files say that there are; of what several say, the trial that
// ends first: each saw it begin. It is empty where there is no file, or one of
// before the machine started. What could be read comes with an error, too.
func (f trialFile) read() (map[stage.TrialID]stage.Sighting, error) {
	out := map[stage.TrialID]stage.Sighting{}
	var errs []error
	for _, dir := range f.dirs {
		known, err := readTrials(filepath.Join(dir, trialFileName))
		errs = append(errs, err)
		for id, s := range known {
			if other, ok := out[id]; !ok || s.First+s.Lasts < other.First+other.Lasts {
				out[id] = s
			}
		}
	}
	return out, errors.Join(errs...)
}

func readTrials(path string) (map[stage.TrialID]stage.Sighting, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	var all trialRecords
	if err := json.Unmarshal(data, &all); err != nil || all.Boot != boot {
		return nil, err
	}
	out := map[stage.TrialID]stage.Sighting{}
	for _, r := range all.Trials {
		id := stage.TrialID{
			Key:      policy.Key{Kind: policy.Kind(r.Kind), Namespace: r.Namespace, Name: r.Name},
			Revision: r.Revision, By: r.By.UTC(), Within: r.Within,
		}
		out[id] = stage.Sighting{First: r.First, Lasts: r.Lasts}
	}
	return out, nil
}

// write replaces the file as a whole: the first that can be written.
func (f trialFile) write(known map[stage.TrialID]stage.Sighting) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	all := trialRecords{Boot: boot}
	for id, s := range known {
		all.Trials = append(all.Trials, trialRecord{
			string(id.Key.Kind), id.Key.Namespace, id.Key.Name, id.Revision, id.By, id.Within, s.First, s.Lasts,
		})
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range f.dirs {
		if err = replaceFile(filepath.Join(dir, trialFileName), data); err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// replaceFile gives a file another content as a whole.
func replaceFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
