package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// Where the reverts are that left no policy to carry them: a ConfigMap of a
// cluster, which netpol install brings and agents may write, or a file beside
// manifests.
const (
	RevertsName      = "netpol-reverts"
	RevertsNamespace = "netpol-system"
	revertsFile      = ".netpol-reverts.json"
)

var revertsKey = policy.Key{Kind: "ConfigMap", Namespace: RevertsNamespace, Name: RevertsName}

// revertAttempts is how often the ConfigMap is read again where somebody else
// changed it meanwhile.
const revertAttempts = 4

// revertFile is the JSON of the file.
type revertFile struct {
	APIVersion string                 `json:"apiVersion"`
	Kind       string                 `json:"kind"`
	Items      []stage.RevertedPolicy `json:"items"`
}

// sideFiles is a store that has a place for files of ours.
type sideFiles interface {
	SideFile(name string) ([]byte, error)
	EditSideFile(name string, edit func([]byte) ([]byte, error)) error
}

// Reverts are the policies that went when their trials ended; none where a store
// has no place for them.
func Reverts(ctx context.Context, store Store) ([]stage.RevertedPolicy, error) {
	if server, ok := store.(Server); ok {
		list, _, err := mappedReverts(ctx, server)
		return list.All(), err
	}
	files, ok := store.(sideFiles)
	if !ok {
		return nil, nil
	}
	data, err := files.SideFile(revertsFile)
	if err != nil {
		return nil, err
	}
	list, err := readReverts(data)
	return list.All(), err
}

// noteRevert keeps who took a policy back of which nothing is left.
func noteRevert(ctx context.Context, store Store, key policy.Key, by stage.Revert) error {
	if server, ok := store.(Server); ok {
		return noteMapped(ctx, server, key, by)
	}
	files, ok := store.(sideFiles)
	if !ok {
		return nil
	}
	return files.EditSideFile(revertsFile, func(old []byte) ([]byte, error) {
		list, err := readReverts(old)
		if err != nil {
			return nil, err
		}
		if err := list.Put(key, by); err != nil {
			return nil, err
		}
		text, err := json.MarshalIndent(revertFile{"netpol.dev/v1", "RevertFile", list.All()}, "", " ")
		return append(text, '\n'), err
	})
}

func readReverts(data []byte) (stage.Reverts, error) {
	out := stage.Reverts{}
	if len(data) == 0 {
		return out, nil
	}
	var file revertFile
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%s is not what netpol wrote (remove it to begin anew): %w", revertsFile, err)
	}
	for _, r := range file.Items {
		if err := out.Put(policy.Key{Kind: r.Kind, Namespace: r.Namespace, Name: r.Name}, r.Revert); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// mappedReverts reads the ConfigMap; nil where there is none.
func mappedReverts(ctx context.Context, server Server) (stage.Reverts, *unstructured.Unstructured, error) {
	u, err := server.Get(ctx, revertsKey)
	if errors.Is(err, ErrNotFound) {
		return stage.Reverts{}, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	out := stage.Reverts{}
	data, _ := u.Object["data"].(map[string]any)
	for name, text := range data {
		if s, ok := text.(string); ok {
			out[name] = s
		}
	}
	return out, u, nil
}

func noteMapped(ctx context.Context, server Server, key policy.Key, by stage.Revert) error {
	for n := 1; ; n++ {
		err := noteOnce(ctx, server, key, by)
		if err == nil || n == revertAttempts || !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

func noteOnce(ctx context.Context, server Server, key policy.Key, by stage.Revert) error {
	list, u, err := mappedReverts(ctx, server)
	if err != nil {
		return err
	}
	if err := list.Put(key, by); err != nil {
		return err
	}
	change := Change{Object: u}
	if u == nil { // nobody installed it
		change = Change{Object: &unstructured.Unstructured{Object: map[string]any{}}, IfAbsent: true}
		change.Object.SetAPIVersion("v1")
		change.Object.SetKind("ConfigMap")
		change.Object.SetNamespace(RevertsNamespace)
		change.Object.SetName(RevertsName)
	}
	data := make(map[string]any, len(list))
	for name, text := range list {
		data[name] = text
	}
	change.Object.Object["data"] = data
	_, err = server.ChangeWith(ctx, []Change{change}, ChangeOptions{Force: true})
	return err
}
