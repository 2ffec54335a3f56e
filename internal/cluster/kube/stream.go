package kube

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/netpol-project/netpol/pkg/policy"
)

// stream is one watch.
type stream struct {
	*follower
	initial bool // what comes is what there is, not what changed
	items   []policy.Served
	at      map[name]int // in items
	// silence ends a list that does not go on.
	silence *time.Timer
}

// read handles events, which are one a line.
func (s *stream) read(body io.Reader) error {
	in := bufio.NewReaderSize(body, readBuffer)
	var long []byte
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long, line...)
			continue
		}
		if len(long) > 0 {
			long = append(long, line...)
			line = long
		}
		if err != nil {
			if errors.Is(err, io.EOF) && len(line) == 0 {
				return errEnded
			}
			return fmt.Errorf("the watch broke: %w", err)
		}
		if err := s.event(line); err != nil {
			return err
		}
		if cap(long) > 1<<20 {
			long = nil
		}
		long = long[:0]
	}
}

// event handles one event.
func (s *stream) event(line []byte) error {
	event, item, err := s.dec.ServedEvent(line)
	if err != nil {
		return err
	}
	switch event {
	case "ADDED", "MODIFIED", "DELETED":
		s.form.Read(&item)
		s.resource(event, item)
	case "BOOKMARK":
		return s.bookmark(line)
	case "ERROR":
		return s.refused(line)
	}
	return nil
}

func (s *stream) resource(event string, item policy.Served) {
	id := name{item.Namespace, item.Name}
	if s.initial {
		s.silence.Reset(s.opts.patience)
		s.collect(event, id, item)
		return
	}
	s.apply(func(c *cache) bool {
		kc := c.kind(s.kind)
		if older(item.Version, kc.version) {
			return false // catchUp was ahead of the watch
		}
		s.version, kc.version = item.Version, item.Version
		if event == "DELETED" {
			return c.remove(s.kind, id, item.Version)
		}
		return c.put(s.kind, item)
	})
}

// collect notes what there is. Changes may come in between already.
func (s *stream) collect(event string, id name, item policy.Served) {
	if s.at == nil {
		s.at = map[name]int{}
	}
	i, known := s.at[id]
	switch {
	case event == "DELETED" && known:
		last := len(s.items) - 1
		s.items[i] = s.items[last]
		s.at[name{s.items[i].Namespace, s.items[i].Name}] = i
		s.items = s.items[:last]
		delete(s.at, id)
	case event == "DELETED":
	case known:
		s.items[i] = item
	default:
		s.at[id] = len(s.items)
		s.items = append(s.items, item)
	}
}

// older says whether a version is not newer than another.
func older(version, than string) bool {
	c, err := resourceversion.CompareResourceVersion(version, than)
	return err == nil && c <= 0
}

// bookmark notes a version that was reached without a change.
func (s *stream) bookmark(line []byte) error {
	var b struct {
		Object struct {
			Metadata struct {
				ResourceVersion string
				Annotations     map[string]string
			}
		}
	}
	if err := json.Unmarshal(line, &b); err != nil {
		return err
	}
	meta := b.Object.Metadata
	switch {
	case meta.Annotations[initialEnds] == "true" && s.initial:
		s.initial = false
		s.silence.Stop()
		s.take(s.items, meta.ResourceVersion)
		s.items, s.at = nil, nil
	case !s.initial && !older(meta.ResourceVersion, s.version):
		s.version = meta.ResourceVersion
		// Nobody waits for it, so there is nothing to send.
		s.following.mu.Lock()
		s.cache.kind(s.kind).version = meta.ResourceVersion
		s.following.mu.Unlock()
	}
	return nil
}

// refused is the error that a server ends a watch with.
func (s *stream) refused(line []byte) error {
	var e struct{ Object metav1.Status }
	if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
		return err
	}
	err := &apierrors.StatusError{ErrStatus: e.Object}
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		s.version = "" // all is read again; what is known stays until then
	}
	return err
}
