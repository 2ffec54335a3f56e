package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
)

// servedJSON is a document as an API server sends it: with fields that the
// server manages.
func servedJSON(t testing.TB, doc string) string {
	t.Helper()
	var m map[string]any
	if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
		t.Fatal(err)
	}
	meta := m["metadata"].(map[string]any)
	meta["resourceVersion"], meta["uid"] = "17", "3b4f"
	meta["managedFields"] = []any{map[string]any{"manager": "kubectl", "operation": "Apply", "fieldsType": "FieldsV1",
		"fieldsV1": map[string]any{"f:metadata": map[string]any{"f:labels": map[string]any{"f:app": map[string]any{}}}, "f:spec": map[string]any{"f:containers": map[string]any{`k:{"name":"web"}`: map[string]any{".": map[string]any{}, "f:image": map[string]any{}}}}}}}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func withoutOrigin(v any) any {
	switch v := v.(type) {
	case *policy.Endpoint:
		v.Origin = policy.Origin{}
	case *policy.Policy:
		v.Origin = policy.Origin{}
	}
	return v
}

// What a server sends is read as the same manifest is.
func TestServedIsReadLikeAManifest(t *testing.T) {
	for _, doc := range []string{podYAML(7), policyYAML(7)} {
		res, faults := policy.Decode("f.yaml", []byte(doc))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		want := withoutOrigin(res[0].Value)
		d := policy.NewDecoder()
		event, s, err := d.ServedEvent([]byte(`{"type":"MODIFIED","object":` + servedJSON(t, doc) + "}\n"))
		if err != nil || event != "MODIFIED" || s.Version != "17" || s.Key != res[0].Key || s.Name != s.Key.Name || s.Namespace != s.Key.Namespace {
			t.Errorf("%v, %s, %+v", err, event, s)
		}
		if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", s.Value)); diff != "" || len(s.Faults) > 0 {
			t.Error(diff, s.Faults)
		}
	}
}

func TestServedList(t *testing.T) {
	bare := strings.NewReplacer(`"kind":"Pod",`, "", `"apiVersion":"v1",`, "")
	page := `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"90","continue":"more","remainingItemCount":1},"items":[` +
		bare.Replace(servedJSON(t, podYAML(1))) + "," + bare.Replace(servedJSON(t, podYAML(2))) + "]}\n"
	var got []policy.Served
	list, err := policy.NewDecoder().ServedList([]byte(page), "v1", "Pod", func(s policy.Served) { got = append(got, s) })
	if err != nil || list != (policy.ServedList{Version: "90", Next: "more"}) || len(got) != 2 {
		t.Fatalf("%v, %+v, %d items", err, list, len(got))
	}
	for i, s := range got {
		if ep, ok := s.Value.(*policy.Endpoint); !ok || ep.Name != fmt.Sprintf("web-%d-7d4b9c6f5d-x%d", i+1, i+1) || s.Key.Kind != policy.KindPod {
			t.Errorf("got %+v", s)
		}
	}
	for _, text := range []string{`{"items":null,"metadata":{"resourceVersion":"1"}}`, `{"items":[],"metadata":{"resourceVersion":"1"}}`, `{"metadata":{"resourceVersion":"1"}}`} {
		list, err := policy.NewDecoder().ServedList([]byte(text), "v1", "Pod", func(policy.Served) { t.Error("an item") })
		if err != nil || list.Version != "1" {
			t.Errorf("%s: %v, %v", text, list, err)
		}
	}
	for _, text := range []string{"", "<html>", page[:len(page)/2], page + page} {
		if _, err := policy.NewDecoder().ServedList([]byte(text), "v1", "Pod", func(policy.Served) {}); err == nil {
			t.Errorf("%.20q is no error", text)
		}
	}
}

// S4: what is enforced and has faults stays closed, as out of a file.
func TestServedFaults(t *testing.T) {
	_, s, err := policy.NewDecoder().ServedEvent([]byte(`{"type":"ADDED","object":{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy",` +
		`"metadata":{"name":"x","namespace":"a","resourceVersion":"3"},"spec":{"selector":"=","types":["Ingress"]}}}`))
	if err != nil || len(s.Faults) != 1 || s.Faults[0].Origin != (policy.Origin{}) || s.Faults[0].Error() != `NetworkPolicy a/x: `+s.Faults[0].Field+` "=": `+s.Faults[0].Reason {
		t.Fatalf("%v, %+v", err, s.Faults)
	}
	if p, ok := s.Value.(*policy.Policy); !ok || p.Selector != nil {
		t.Errorf("got %+v", s.Value)
	}
	event, s, err := policy.NewDecoder().ServedEvent([]byte(`{"type":"ERROR","object":{"kind":"Status","code":410}}`))
	if err != nil || event != "ERROR" || s.Key.Kind != "" {
		t.Errorf("%v, %s, %+v", err, event, s)
	}
}

func BenchmarkServedPod(b *testing.B) {
	d := policy.NewDecoder()
	data := []byte(`{"type":"ADDED","object":` + servedJSON(b, podYAML(7)) + "}\n")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, s, err := d.ServedEvent(data); err != nil || s.Value == nil {
			b.Fatal(err)
		}
	}
}
