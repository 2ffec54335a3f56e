package cluster

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// plan is the texts as they will be.
type plan struct {
	dir     *Dir
	texts   map[string]*text
	order   []string // paths, in the order in which they are first touched
	moving  map[policy.Key]policy.Key
	places  map[policy.Key][]string
	results []Result
}

func (p *plan) add(c Change) error {
	key := c.Delete
	if c.Object != nil {
		key = KeyOf(c.Object)
	}
	t, f, err := p.locate(key)
	if err != nil {
		return err
	}
	var r Result
	switch {
	case c.Object == nil && f == nil:
		return fmt.Errorf("%s: %w", key, ErrNotFound)
	case c.Object == nil && strings.HasPrefix(c.Version, versionPrefix) && c.Version != f.doc.version():
		return fmt.Errorf("%s: %w: it has changed since it was read", key, ErrConflict)
	case c.Object == nil:
		r, err = p.remove(key, t, f)
	case f != nil && c.IfAbsent:
		return fmt.Errorf("%s: %w: it exists already, in %s", key, ErrConflict, t.path)
	case f != nil:
		r, err = p.replace(key, t, f, c)
	default:
		r, err = p.create(key, c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	p.results = append(p.results, r)
	return nil
}

// locate finds a resource in the texts as edited so far.
func (p *plan) locate(key policy.Key) (*text, *found, error) {
	var t *text
	var f *found
	for _, path := range p.places[key] {
		in, err := p.text(path)
		if err != nil {
			return nil, nil, err
		}
		if hit := in.find(key); hit != nil {
			if f != nil {
				return nil, nil, fmt.Errorf("%s: %w: it is in two files, %s and %s", key, ErrConflict, t.path, path)
			}
			t, f = in, hit
		}
	}
	return t, f, nil
}

func (p *plan) text(path string) (*text, error) {
	if t, ok := p.texts[path]; ok {
		return t, nil
	}
	t, err := readText(path)
	if err != nil {
		return nil, err
	}
	p.texts[path] = t
	return t, nil
}

func (p *plan) touch(t *text) {
	if !slices.Contains(p.order, t.path) {
		p.order = append(p.order, t.path)
	}
}

func (p *plan) remove(key policy.Key, t *text, f *found) (Result, error) {
	p.touch(t)
	if f.item < 0 {
		f.doc.removed = true
	} else if err := f.doc.rewrite(f.item, nil, nil); err != nil {
		return Result{}, err
	}
	return Result{Key: key, Outcome: Deleted, Where: policy.Origin{File: t.path}}, nil
}

func (p *plan) replace(key policy.Key, t *text, f *found, c Change) (Result, error) {
	r := Result{Key: key, Outcome: Configured, Where: policy.Origin{File: t.path}}
	fresh, err := settle(c.Object, f)
	if err != nil {
		return Result{}, err
	}
	if SameValue(f.object.Object, fresh.Object) {
		r.Outcome = Unchanged
		return r, nil
	}
	p.touch(t)
	return r, f.doc.rewrite(f.item, fresh.Object, c.Comments)
}

// settle is object as it is to be written in place of f: it checks that object
// was made from f's present text, if it says what it was made from, and takes
// our resourceVersion out again.
func settle(object *unstructured.Unstructured, f *found) (*unstructured.Unstructured, error) {
	v := object.GetResourceVersion()
	if !strings.HasPrefix(v, versionPrefix) {
		return object, nil
	}
	object = object.DeepCopy()
	if f == nil || v != f.version() {
		return nil, fmt.Errorf("%w: it has changed since it was read", ErrConflict)
	}
	object.SetResourceVersion(f.object.GetResourceVersion())
	return object, nil
}

func (p *plan) create(key policy.Key, c Change) (Result, error) {
	r, object := Result{Key: key, Outcome: Created}, c.Object
	if strings.HasPrefix(object.GetResourceVersion(), versionPrefix) {
		return r, fmt.Errorf("%w: it was deleted since it was read", ErrConflict)
	}
	if twin, ok := p.moving[key]; ok {
		if path, err := p.takeOver(twin, key, c); path != "" || err != nil {
			r.Where.File = path
			p.places[key] = append(p.places[key], path)
			return r, err
		}
	}
	raw, err := c.Text, error(nil)
	if raw == nil {
		raw, err = Render(object)
	}
	if err != nil {
		return r, err
	}
	r.Where.File, err = p.newFile(key, raw)
	p.places[key] = append(p.places[key], r.Where.File)
	return r, err
}

// takeOver puts object where its twin is, and leaves the twin's deletion to
// its own change. A file of ours that is named after the twin is left to go,
// and another named after the new one is made. The path is "" if the twin is
// in a List, where nothing would be gained.
func (p *plan) takeOver(twin, key policy.Key, c Change) (string, error) {
	t, f, err := p.locate(twin)
	if err != nil || f == nil || f.item >= 0 {
		return "", err
	}
	raw, err := rewrite(f.doc.raw, -1, c.Object.Object, c.Comments)
	if err != nil {
		return "", err
	}
	if p.dir.only == "" && filepath.Base(t.path) == fileName(twin) && len(t.docs) == 1 {
		return p.newFile(key, raw)
	}
	i := slices.Index(t.docs, f.doc)
	t.docs = slices.Insert(t.docs, i, newDocument(raw))
	p.touch(t)
	return t.path, nil
}

// newFile makes a file for one resource and returns its path.
func (p *plan) newFile(key policy.Key, raw []byte) (string, error) {
	if p.dir.only != "" {
		t, err := p.text(p.dir.only)
		if err == nil {
			t.docs = append(t.docs, newDocument(raw))
			p.touch(t)
		}
		return p.dir.only, err
	}
	folder := filepath.Join(p.dir.root, folderOf(key.Kind))
	if p.dir.asIs {
		folder = p.dir.root
	}
	name := fileName(key)
	for n := 2; ; n++ {
		t, err := p.text(filepath.Join(folder, name))
		if err != nil {
			return "", err
		}
		if t.data == nil && len(t.docs) == 0 {
			t.docs = []*document{newDocument(raw)}
			p.touch(t)
			return t.path, nil
		}
		name = fmt.Sprintf("%s-%d.yaml", strings.TrimSuffix(fileName(key), ".yaml"), n)
	}
}

func newDocument(raw []byte) *document {
	return &document{raw: raw, edited: raw}
}

// rewrite edits a document in memory, so that later changes see it.
func (d *document) rewrite(item int, object map[string]any, comments Comments) error {
	out, err := rewrite(d.raw, item, object, comments)
	if err != nil {
		return err
	}
	*d = document{raw: out, edited: out, was: d.version()}
	return nil
}

// folderOf is where new files of a kind go.
func folderOf(k policy.Kind) string {
	switch k {
	case policy.KindTier:
		return "tiers"
	case policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindStagedNetworkPolicy,
		policy.KindStagedGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy,
		policy.KindStagedKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy:
		return "policies"
	case policy.KindNetworkSet, policy.KindGlobalNetworkSet:
		return "networksets"
	}
	return "."
}

// longestFileName leaves room for what is put around the name while a file is
// written, and behind it where two resources would have the same: file systems
// take 255 bytes, and a resource's name alone may have 253.
const longestFileName = 200

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9._-]`)

// fileName is the name of a resource's own file. Names of policies are lower case
// letters, digits, - and dots. What a manifest may call other kinds is not ours to
// judge: anything else becomes a -, so that the file is safe in every file system
// and never outside of its folder.
func fileName(key policy.Key) string {
	parts := []string{strings.ToLower(string(key.Kind))}
	if key.Namespace != "" {
		parts = append(parts, key.Namespace)
	}
	name := notInFileNames.ReplaceAllString(strings.Join(append(parts, key.Name), "-"), "-")
	return name[:min(len(name), longestFileName)] + ".yaml"
}
