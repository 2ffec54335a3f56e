//go:build linux

package enforce

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// announcedFileName is where an agent keeps what a CNI plugin told, for the next
// one on its node: the plugin tells once, and the pods run by then. It is beside
// the socket, which the plugin finds there, so that it outlasts the agent's pod.
const announcedFileName = "announced.json"

// announcedRecord is one pod in the file.
type announcedRecord struct {
	Container, Namespace, Name string
	Addresses                  []netip.Addr
	Until                      time.Time
}

// announcedRecords is the file. After a start of the machine no container of
// before is left.
type announcedRecords struct {
	Boot string
	Pods []announcedRecord
}

// recallAnnouncements takes over what the agent before on this node was told.
func recallAnnouncements(opts *Options) *announcements {
	a := newAnnouncements()
	a.path, a.log = filepath.Join(filepath.Dir(opts.Socket), announcedFileName), opts.Log
	known, err := readAnnounced(a.path)
	if err != nil {
		a.log.Warn("what the CNI plugin told the agent before can't be read; its pods are closed until the API server has their addresses", "error", err)
	}
	for _, r := range known {
		a.by[r.Container] = &announced{namespace: r.Namespace, name: r.Name, addrs: r.Addresses, until: r.Until, recalled: true}
	}
	return a
}

func readAnnounced(path string) ([]announcedRecord, error) {
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
	var all announcedRecords
	if err := json.Unmarshal(data, &all); err != nil || all.Boot != boot {
		return nil, err
	}
	return all.Pods, nil
}

// keep writes down what was told. The caller holds a.
func (a *announcements) keep() {
	if a.path == "" {
		return
	}
	if err := a.write(); err != nil {
		a.log.Warn("what the CNI plugin told can't be kept for the next agent: its pods will be closed until the API server has their addresses", "error", err)
	}
}

func (a *announcements) write() error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	all := announcedRecords{Boot: boot}
	for container, w := range a.by {
		all.Pods = append(all.Pods, announcedRecord{container, w.namespace, w.name, w.addrs, w.until})
	}
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return replaceFile(a.path, data)
}

// check drops, of what the agent before was told, what was over by the time that
// this one looked: no route leads there, or a newer pod has the address. Nobody told
// of it if it happened while no agent ran.
func (a *announcements) check(snap *policy.Snapshot, p *places) {
	a.mu.Lock()
	defer a.mu.Unlock()
	taken := func(w *announced) bool {
		own := snap.Endpoint(w.namespace, w.name)
		return own != nil && slices.ContainsFunc(snap.Endpoints, func(ep *policy.Endpoint) bool {
			// An older one may be what the API server still has of a sandbox that is gone.
			return ep != own && !ep.Terminating && ep.Created >= own.Created && slices.ContainsFunc(ep.Addrs, w.has)
		})
	}
	dropped := false
	for container, w := range a.by {
		routed := slices.ContainsFunc(w.addrs, func(addr netip.Addr) bool { return p.behind(addr) != "" })
		if w.recalled && (!routed || taken(w)) {
			delete(a.by, container)
			dropped = true
		}
	}
	if dropped {
		a.from, a.made = nil, nil
		a.keep()
	}
}
