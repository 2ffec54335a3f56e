package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// Where the histories are that policies do not carry themselves, and how large
// all of them together may be: a ConfigMap takes 1 MiB.
const (
	historyFile                         = ".netpol-history.json"
	historyMap, historyMapNamespace     = "netpol-history", "netpol-system"
	maxHistoryFile, maxHistoryConfigMap = 8 << 20, 768 << 10
)

// archives keep histories beside the policies.
type archives interface {
	// read is all of it, empty where there is none; policies that were taken back
	// end with that. What could be read comes with an error, too.
	read(ctx context.Context) (stage.Archive, error)
	// put writes the histories of some policies.
	put(ctx context.Context, fresh map[policy.Key][]stage.Revision) error
}

// archivesOf is where a store keeps histories; carried says that living policies
// carry theirs themselves. nil: nowhere.
func archivesOf(store cluster.Store) (a archives, carried bool) {
	if server, ok := store.(cluster.Server); ok {
		return configMapArchive{server}, true
	}
	if files, ok := store.(sideFiles); ok {
		return fileArchive{files, store}, false
	}
	return nil, false
}

// sideFiles is a store that has a place for files of ours.
type sideFiles interface {
	SideFile(name string) ([]byte, error)
	EditSideFile(name string, edit func([]byte) ([]byte, error)) error
}

// fileArchive is a file in the directory of manifests.
type fileArchive struct {
	files sideFiles
	store cluster.Store
}

func (a fileArchive) read(ctx context.Context) (stage.Archive, error) {
	data, err := a.files.SideFile(historyFile)
	if err != nil {
		return nil, err
	}
	archive, err := readArchive(data)
	if err != nil {
		return nil, err
	}
	return archive, withReverts(ctx, a.store, archive)
}

// withReverts ends the histories of policies that went with their trials.
func withReverts(ctx context.Context, store cluster.Store, archive stage.Archive) error {
	list, err := cluster.Reverts(ctx, store)
	if err != nil {
		return fmt.Errorf("which policies were taken back: %w", err)
	}
	return archive.WithReverts(list)
}

func (a fileArchive) put(_ context.Context, fresh map[policy.Key][]stage.Revision) error {
	return a.files.EditSideFile(historyFile, func(old []byte) ([]byte, error) {
		archive, err := readArchive(old)
		if err != nil {
			return nil, err
		}
		for key, history := range fresh {
			if err := archive.Put(key, history, maxHistoryFile); err != nil {
				return nil, err
			}
		}
		text, err := json.MarshalIndent(archiveFile{"netpol.dev/v1", "HistoryFile", archive.All()}, "", " ")
		return append(text, '\n'), err
	})
}

// archiveFile is the JSON of the file.
type archiveFile struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Policies   []stage.Archived `json:"policies"`
}

func readArchive(data []byte) (stage.Archive, error) {
	out := stage.Archive{}
	if len(data) == 0 {
		return out, nil
	}
	var file archiveFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s is not what netpol wrote (remove it to begin anew): %w", historyFile, err)
	}
	for _, p := range file.Policies {
		if err := out.Put(p.Key(), p.Revisions, maxHistoryFile); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// configMapArchive is a ConfigMap of the cluster. It has deleted policies alone.
type configMapArchive struct{ server cluster.Server }

var historyMapKey = policy.Key{Kind: "ConfigMap", Namespace: historyMapNamespace, Name: historyMap}

func (a configMapArchive) read(ctx context.Context) (stage.Archive, error) {
	archive, _, err := a.get(ctx)
	if err != nil {
		return nil, err
	}
	return archive, withReverts(ctx, a.server, archive)
}

func (a configMapArchive) get(ctx context.Context) (stage.Archive, *unstructured.Unstructured, error) {
	u, err := a.server.Get(ctx, historyMapKey)
	if errors.Is(err, cluster.ErrNotFound) {
		return stage.Archive{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	out := stage.Archive{}
	data, _ := u.Object["data"].(map[string]any)
	for name, text := range data {
		if s, ok := text.(string); ok {
			out[name] = s
		}
	}
	return out, u, nil
}

// archiveAttempts is how often the ConfigMap is read again where somebody else
// changed it meanwhile.
const archiveAttempts = 4

func (a configMapArchive) put(ctx context.Context, fresh map[policy.Key][]stage.Revision) error {
	for n := 1; ; n++ {
		err := a.once(ctx, fresh)
		if err == nil || n == archiveAttempts || !errors.Is(err, cluster.ErrConflict) {
			return err
		}
	}
}

func (a configMapArchive) once(ctx context.Context, fresh map[policy.Key][]stage.Revision) error {
	archive, u, err := a.get(ctx)
	if err != nil {
		return err
	}
	for key, history := range fresh {
		if err := archive.Put(key, history, maxHistoryConfigMap); err != nil {
			return err
		}
	}
	change := cluster.Change{Object: u}
	if u == nil {
		change = cluster.Change{Object: &unstructured.Unstructured{Object: map[string]any{}}, IfAbsent: true}
		change.Object.SetAPIVersion("v1")
		change.Object.SetKind("ConfigMap")
		change.Object.SetNamespace(historyMapNamespace)
		change.Object.SetName(historyMap)
		change.Object.SetLabels(map[string]string{"app.kubernetes.io/part-of": "netpol"})
	}
	data := make(map[string]any, len(archive))
	for name, text := range archive {
		data[name] = text
	}
	change.Object.Object["data"] = data
	_, err = a.server.ChangeWith(ctx, []cluster.Change{change}, cluster.ChangeOptions{})
	return err
}
