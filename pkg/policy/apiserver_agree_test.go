package policy_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/prove"
	"github.com/netpol-project/netpol/pkg/policy"
)

// agree holds the API server to validate on one document: it refuses what has a
// fault that docs/CRDS.md says it refuses, and takes all else.
func agree(t *testing.T, client *dynamic.DynamicClient, table map[string]string, object map[string]any) (refused bool) {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	_, faults := policy.Decode("f.yaml", text)
	for _, f := range faults.Errors() {
		refused = refused || means(table, f) != "no"
	}
	switch _, err := try(t, client, doc); {
	case refused && err == nil:
		t.Errorf("the API server takes what validate refuses: %v\n%s", faults.Errors(), doc)
	case !refused && err != nil:
		t.Errorf("the API server refuses what validate takes: %v\n%s", err, doc)
	}
	return refused
}

// What fuzzing has found interesting is judged alike.
func TestClusterAgreesOnFuzzedDocuments(t *testing.T) {
	client, table := served(t), coverage(t)
	var docs []string
	for i, spec := range kindSpecs {
		docs = append(docs, kindDoc(uint8(i), spec))
	}
	files, err := filepath.Glob("testdata/fuzz/FuzzDecodeKind/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		kind, _, _, err := strconv.UnquoteChar(strings.TrimSuffix(strings.TrimPrefix(lines[1], "byte('"), "')"), '\'')
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		spec, err := strconv.Unquote(strings.TrimSuffix(strings.TrimPrefix(lines[2], "string("), ")"))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		docs = append(docs, kindDoc(uint8(kind), spec))
	}
	for _, doc := range docs {
		object, err := policy.ReadObject([]byte(staged(doc)))
		if err != nil || object["apiVersion"] != "projectcalico.org/v3" || hasNull(object) {
			continue
		}
		agree(t, client, table, object)
	}
}

// hasNull says whether a null is in v: absent to validate, of the wrong type to
// the API server (docs/CRDS.md).
func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), hasNull)
	case []any:
		return slices.ContainsFunc(v, hasNull)
	}
	return false
}

// oddities are put in the place of what random policies say.
var oddities = []any{
	"", "x", "X_y", "a.b", "global()", "has(a) || global()", "all()", "TCP", "tcp", "ICMP", "UDPLite", "6", "256", int64(0), int64(-1), int64(1), int64(4), int64(6),
	int64(255), int64(256), int64(65535), int64(65536), 1.5, true, false, "10.0.0.0/8", "10.0.0.1/8", "10.0.0.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "2001:db8::1/32",
	"80", "90:80", "80:90", "80-90", "http", "Allow", "Deny", "Pass", "Log", "Ingress", "Egress", "Delete", "Ignore", "GET", "/a", "a?b",
	[]any{}, map[string]any{},
}

// Random policies with something odd in them are judged alike.
func TestClusterAgreesOnOddPolicies(t *testing.T) {
	client, table := served(t), coverage(t)
	random := rand.New(rand.NewPCG(1, 2))
	judged, refused := 0, 0
	for seed := range 400 {
		world := prove.Worlds().Example(seed)
		for _, doc := range strings.Split(string(world.Manifests()), "---\n") {
			object, err := policy.ReadObject([]byte(staged(doc)))
			if err != nil || object["apiVersion"] != "projectcalico.org/v3" || random.IntN(8) > 0 {
				continue
			}
			spec, ok := object["spec"].(map[string]any)
			if !ok {
				continue
			}
			spoil(random, spec)
			judged++
			if agree(t, client, table, object) {
				refused++
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
	if refused < judged/10 || refused > judged*9/10 || judged < 100 {
		t.Errorf("of %d documents %d are refused: that shows little", judged, refused)
	}
	t.Logf("%d documents, %d refused", judged, refused)
}

// spoil puts something odd into a mapping or takes something out.
func spoil(random *rand.Rand, m map[string]any) {
	for {
		keys := slices.Sorted(maps.Keys(m))
		if len(keys) == 0 {
			return
		}
		key := keys[random.IntN(len(keys))]
		odd := oddities[random.IntN(len(oddities))]
		switch v := m[key].(type) {
		case map[string]any:
			if len(v) > 0 && random.IntN(8) > 0 {
				m = v
				continue
			}
		case []any:
			if len(v) == 0 {
				break
			}
			i := random.IntN(len(v))
			if inner, ok := v[i].(map[string]any); ok && len(inner) > 0 && random.IntN(8) > 0 {
				m = inner
				continue
			}
			v[i] = odd
			return
		}
		if random.IntN(6) == 0 {
			delete(m, key)
		} else {
			m[key] = odd
		}
		return
	}
}
