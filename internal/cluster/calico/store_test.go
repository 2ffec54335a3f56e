package calico

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

var (
	v328 = Version{Major: 3, Minor: 28, Patch: 2}
	v329 = Version{Major: 3, Minor: 29, Patch: 1}
	v331 = Version{Major: 3, Minor: 31, Patch: 2}
	v332 = Version{Major: 3, Minor: 32}
)

const tiers = "Tier platform;Tier security"

func docs(text string) []string {
	var out []string
	for _, d := range strings.Split(tiers+";"+text, ";") {
		if d = strings.TrimSpace(d); d != "" {
			out = append(out, d)
		}
	}
	return out
}

func keyText(k policy.Key) string {
	short := map[policy.Kind]string{policy.KindNetworkPolicy: "np", policy.KindStagedNetworkPolicy: "snp", policy.KindGlobalNetworkPolicy: "gnp",
		policy.KindStagedGlobalNetworkPolicy: "sgnp"}[k.Kind]
	return short + " " + strings.TrimPrefix(k.Namespace+"/"+k.Name, "/")
}

func policyKeys(t *testing.T, s cluster.Store) []string {
	t.Helper()
	keys, err := s.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range keys {
		if hasTierName(k.Kind) {
			out = append(out, keyText(k))
		}
	}
	slices.Sort(out)
	return out
}

func TestNamesAreShort(t *testing.T) {
	for name, c := range map[string]struct{ api, want string }{
		"tier in front":                      {"NetworkPolicy ns/platform.db platform", "np ns/db"},
		"tier default, with or without":      {"NetworkPolicy ns/db;NetworkPolicy ns/default.web", "np ns/db,np ns/web"},
		"another tier's name is no prefix":   {"NetworkPolicy ns/security.db platform", "np ns/security.db"},
		"one name in two tiers":              {"NetworkPolicy ns/platform.db platform;NetworkPolicy ns/security.db security", "np ns/platform.db,np ns/security.db"},
		"one of these in tier default":       {"NetworkPolicy ns/db;NetworkPolicy ns/security.db security", "np ns/db,np ns/security.db"},
		"other namespaces don't count":       {"NetworkPolicy a/platform.db platform;NetworkPolicy b/security.db security", "np a/db,np b/db"},
		"a staged twin":                      {"NetworkPolicy ns/platform.db platform;StagedNetworkPolicy ns/platform.db platform", "np ns/db,snp ns/db"},
		"a staged twin of an ambiguous name": {"NetworkPolicy ns/platform.db platform;StagedNetworkPolicy ns/platform.db platform;NetworkPolicy ns/security.db security", "np ns/platform.db,np ns/security.db,snp ns/platform.db"},
		"twins of both forms":                {"GlobalNetworkPolicy default.deny;StagedGlobalNetworkPolicy deny", "gnp deny,sgnp deny"},
		"a short name that is another's":     {"NetworkPolicy ns/platform.a.b platform;NetworkPolicy ns/a.b security", "np ns/a.b,np ns/platform.a.b"},
		"two forms that both are there":      {"NetworkPolicy ns/db;NetworkPolicy ns/default.db", "np ns/db,np ns/default.db"},
		"a view of Kubernetes' policies":     {"NetworkPolicy ns/knp.default.db", ""},
		"a name that is a tier's":            {"NetworkPolicy ns/platform. platform", "np ns/platform."},
	} {
		got := strings.Join(policyKeys(t, Named(newFake(true, docs(c.api)...), v331)), ",")
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestReadsByAnyName(t *testing.T) {
	s := Named(newFake(true, docs("NetworkPolicy ns/platform.db platform;NetworkPolicy ns/default.web;NetworkPolicy ns/knp.default.k")...), v331)
	for name, want := range map[string]string{"db": "db", "platform.db": "db", "web": "web", "default.web": "web"} {
		u, err := s.Get(t.Context(), policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: name})
		if err != nil || u.GetName() != want {
			t.Errorf("%s: %v %v", name, u, err)
		}
	}
	if _, err := s.Get(t.Context(), policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "none"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Error(err)
	}
	list, err := s.List(t.Context(), policy.KindNetworkPolicy, "ns")
	if err != nil || len(list) != 2 || list[0].GetName() != "db" || list[1].GetName() != "web" {
		t.Errorf("%v %v", list, err)
	}
	snap, _, err := s.Snapshot(t.Context())
	if err != nil || len(snap.Policies) != 2 {
		t.Fatalf("%v %v", snap, err)
	}
	for _, p := range snap.Policies {
		if snap.Policy(p.Key) != p {
			t.Errorf("%s can't be found", p.Key)
		}
	}
	again, _, _ := s.Snapshot(t.Context())
	if again != snap {
		t.Error("nothing changed, and it is another snapshot")
	}
	w, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state := <-w; state.Snapshot != snap {
		t.Error("a watch sees other names")
	}
	if _, open := <-w; open {
		t.Error("the watch does not end")
	}
}

func TestPoliciesThatDidNotChangeAreShared(t *testing.T) {
	f := newFake(true, docs("NetworkPolicy ns/platform.db platform;NetworkPolicy ns/platform.web platform")...)
	s := Named(f, v331)
	before, _, _ := s.Snapshot(t.Context())
	f.objects[policy.Key{Kind: policy.KindTier, Name: "new"}] = object("Tier new")
	old := f.snap
	f.snap = old.WithPolicies(old.Policies)
	after, _, _ := s.Snapshot(t.Context())
	if after == before || !slices.Equal(before.Policies, after.Policies) {
		t.Error("the policies are copied again")
	}
}

// A change by the names of users, and what the API is told.
func TestWrites(t *testing.T) {
	pass := "\ningress: [{action: Pass}, {action: Allow}]"
	for name, c := range map[string]struct {
		version     Version
		api, change string
		ifAbsent    bool
		want, shown string
		err         error
	}{
		"new in a tier, to 3.31":            {version: v331, change: "NetworkPolicy ns/db platform", want: "write NetworkPolicy ns/platform.db platform"},
		"new in a tier, 3.32":               {version: v332, change: "NetworkPolicy ns/db platform", want: "write NetworkPolicy ns/db platform"},
		"new with its tier in front":        {version: v331, change: "NetworkPolicy ns/platform.db platform", want: "write NetworkPolicy ns/platform.db platform", shown: "np ns/db"},
		"new with its tier in front, 3.32":  {version: v332, change: "NetworkPolicy ns/platform.db platform", want: "write NetworkPolicy ns/db platform", shown: "np ns/db"},
		"new in tier default":               {version: v331, change: "GlobalNetworkPolicy deny", want: "write GlobalNetworkPolicy deny default"},
		"new in tier default, early 3.29":   {version: v329, change: "GlobalNetworkPolicy deny", want: "write GlobalNetworkPolicy default.deny default", shown: "gnp deny"},
		"a dot in a name, to 3.31":          {version: v331, change: "GlobalNetworkPolicy a.b", want: "write GlobalNetworkPolicy default.a.b default"},
		"staged in a tier":                  {version: v331, change: "StagedNetworkPolicy ns/db security", want: "write StagedNetworkPolicy ns/security.db security"},
		"staged of Kubernetes":              {version: v331, change: "StagedKubernetesNetworkPolicy ns/db", want: "write StagedKubernetesNetworkPolicy ns/db default"},
		"the version is not known":          {change: "NetworkPolicy ns/db platform", want: "write NetworkPolicy ns/platform.db platform"},
		"replaced":                          {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db platform", want: "write NetworkPolicy ns/platform.db platform"},
		"replaced by its name in the API":   {version: v331, api: "NetworkPolicy ns/db", change: "NetworkPolicy ns/default.db", want: "write NetworkPolicy ns/db default", shown: "np ns/db"},
		"an old name after an upgrade":      {version: v332, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db platform", want: "write NetworkPolicy ns/platform.db platform"},
		"one of two of a name":              {version: v331, api: "NetworkPolicy ns/platform.db platform;NetworkPolicy ns/security.db security", change: "NetworkPolicy ns/db security", want: "write NetworkPolicy ns/security.db security", shown: "np ns/security.db"},
		"one of two after an upgrade":       {version: v332, api: "NetworkPolicy ns/platform.db platform;NetworkPolicy ns/security.db security", change: "NetworkPolicy ns/db security", want: "write NetworkPolicy ns/security.db security", shown: "np ns/security.db"},
		"moved, 3.32":                       {version: v332, api: "NetworkPolicy ns/db platform", change: "NetworkPolicy ns/db security", want: "write NetworkPolicy ns/db security"},
		"moved, 3.32, an old name":          {version: v332, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db security", want: "write NetworkPolicy ns/db security,delete NetworkPolicy ns/platform.db"},
		"moved, to 3.31":                    {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db security\ningress: [{action: Deny}]", want: "write NetworkPolicy ns/security.db security Deny,delete NetworkPolicy ns/platform.db"},
		"moved out of tier default":         {version: v331, api: "NetworkPolicy ns/db", change: "NetworkPolicy ns/db security", want: "write NetworkPolicy ns/security.db security,delete NetworkPolicy ns/db"},
		"moved into tier default":           {version: v331, api: "NetworkPolicy ns/security.db security", change: "NetworkPolicy ns/db", want: "write NetworkPolicy ns/db default,delete NetworkPolicy ns/security.db"},
		"moved, and passes on":              {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db security" + pass, want: "write NetworkPolicy ns/security.db security Allow Deny,delete NetworkPolicy ns/platform.db,write NetworkPolicy ns/security.db security Allow Pass"},
		"staged, moved, passes on":          {version: v331, api: "StagedNetworkPolicy ns/platform.db platform", change: "StagedNetworkPolicy ns/db security" + pass, want: "write StagedNetworkPolicy ns/security.db security Allow Pass,delete StagedNetworkPolicy ns/platform.db"},
		"moved by its name in the API":      {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/platform.db security", want: "write NetworkPolicy ns/security.db security,delete NetworkPolicy ns/platform.db", shown: "np ns/db"},
		"moved to where the name is":        {version: v331, api: "NetworkPolicy ns/platform.db platform;NetworkPolicy ns/security.db security", change: "NetworkPolicy ns/platform.db security", err: cluster.ErrConflict},
		"there, in another tier":            {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db security", ifAbsent: true, err: cluster.ErrConflict},
		"there":                             {version: v331, api: "NetworkPolicy ns/platform.db platform", change: "NetworkPolicy ns/db platform", ifAbsent: true, err: cluster.ErrConflict},
		"a view of Kubernetes' policies":    {version: v331, change: "NetworkPolicy ns/knp.default.db", err: ErrForeign},
		"OpenStack's":                       {version: v331, change: "NetworkPolicy ns/ossg.default.db", err: ErrForeign},
		"a tier, to 3.28":                   {version: v328, change: "Tier new", err: ErrNoTiers},
		"in a tier, to 3.28":                {version: v328, change: "NetworkPolicy ns/db platform", err: ErrNoTiers},
		"to 3.28":                           {version: v328, change: "NetworkPolicy ns/db", want: "write NetworkPolicy ns/db default"},
		"what has no tier is left as it is": {version: v331, change: "NetworkSet ns/platform.a", want: "write NetworkSet ns/platform.a default"},
	} {
		f := newFake(c.version.Naming() != Free, docs(c.api)...)
		u := object(c.change)
		got, err := Named(f, c.version).Change(t.Context(), []cluster.Change{{Object: u, IfAbsent: c.ifAbsent}}, false)
		if !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.err)
			continue
		}
		var told *cluster.Failure
		if c.err == ErrForeign || c.err == ErrNoTiers {
			if !errors.As(err, &told) || told.Try == "" || strings.HasSuffix(told.Try, " ") {
				t.Errorf("%s: nothing to do next: %v", name, err)
			}
		}
		if log := strings.Join(f.log, ","); log != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, log, c.want)
		}
		if c.err != nil {
			continue
		}
		if c.shown == "" {
			c.shown = keyText(cluster.KeyOf(u))
		}
		if len(got) != 1 || keyText(got[0].Key) != c.shown {
			t.Errorf("%s: told %+v, want %s", name, got, c.shown)
		}
		if c.version.Naming() != NoTiers && hasTierName(cluster.KeyOf(u).Kind) && !slices.Contains(policyKeys(t, Named(f, c.version)), c.shown) {
			t.Errorf("%s: it is not called %s then, but %v", name, c.shown, policyKeys(t, Named(f, c.version)))
		}
	}
}

func TestDeletes(t *testing.T) {
	for name, want := range map[string]string{
		"db": "delete NetworkPolicy ns/platform.db", "platform.db": "delete NetworkPolicy ns/platform.db", "none": "",
	} {
		f := newFake(true, docs("NetworkPolicy ns/platform.db platform")...)
		key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: name}
		_, err := Named(f, v331).Change(t.Context(), []cluster.Change{{Delete: key}}, false)
		if strings.Join(f.log, ",") != want || (want == "") != errors.Is(err, cluster.ErrNotFound) {
			t.Errorf("%s: %v %v", name, f.log, err)
		}
	}
}

// Enforcing makes the enforced policy and then deletes the staged one, and a
// move of both keeps to the order in which it was asked for.
func TestOrderOfChanges(t *testing.T) {
	f := newFake(true, docs("NetworkPolicy ns/platform.db platform;StagedNetworkPolicy ns/platform.db platform;NetworkPolicy ns/platform.web platform")...)
	changes := []cluster.Change{
		{Object: object("NetworkPolicy ns/web platform")}, {Object: object("NetworkPolicy ns/db security")},
		{Object: object("StagedNetworkPolicy ns/db security")}, {Delete: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "web"}},
	}
	want := []string{
		"write NetworkPolicy ns/platform.web platform",
		"write NetworkPolicy ns/security.db security", "delete NetworkPolicy ns/platform.db",
		"write StagedNetworkPolicy ns/security.db security", "delete StagedNetworkPolicy ns/platform.db",
		"delete NetworkPolicy ns/platform.web",
	}
	got, err := Named(f, v331).Change(t.Context(), changes, false)
	if err != nil || len(got) != len(changes) {
		t.Fatalf("%v %v", got, err)
	}
	if d := cmp.Diff(want, f.log); d != "" {
		t.Error(d)
	}
	for i, shown := range []string{"np ns/web", "np ns/db", "snp ns/db", "np ns/web"} {
		if keyText(got[i].Key) != shown {
			t.Errorf("change %d is told of %v", i, got[i].Key)
		}
	}
	if got[1].Outcome != cluster.Configured {
		t.Errorf("a move is %s", got[1].Outcome)
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	f := newFake(true, docs("NetworkPolicy ns/platform.db platform")...)
	_, err := Named(f, v331).Change(t.Context(), []cluster.Change{{Object: object("NetworkPolicy ns/db security\ningress: [{action: Pass}]")}}, true)
	if want := []string{"dry write NetworkPolicy ns/security.db security Pass", "dry delete NetworkPolicy ns/platform.db"}; err != nil || !slices.Equal(f.log, want) {
		t.Errorf("%v %v", f.log, err)
	}
}

func TestMoveThatStops(t *testing.T) {
	for at, c := range map[string]struct {
		both bool
		want string
	}{
		"write NetworkPolicy ns/security.db security Deny": {false, "np ns/db"},
		"delete": {true, "np ns/platform.db,np ns/security.db"},
		"write NetworkPolicy ns/security.db security Pass": {false, "np ns/db"}, // tried again a few times
	} {
		f := newFake(true, docs("NetworkPolicy ns/platform.db platform")...)
		f.fail = at
		_, err := Named(f, v331).Change(t.Context(), []cluster.Change{{Object: object("NetworkPolicy ns/db security\negress: [{action: Pass}]")}}, false)
		if !errors.Is(err, errFake) || errors.Is(err, ErrBoth) != c.both {
			t.Errorf("%s: %v", at, err)
		}
		// The new one denies what it is to pass on: what is to be done is not to keep it.
		var told *cluster.Failure
		if c.both && (!errors.As(err, &told) || told.Try != "netpol delete policies security.db -n ns, then the same again") {
			t.Errorf("%s: %+v", at, told)
		}
		if got := strings.Join(policyKeys(t, Named(f, v331)), ","); got != c.want {
			t.Errorf("%s: leaves %s, want %s", at, got, c.want)
		}
	}
}

// Ctrl-C: while both are there, users are told so; when the old one is gone, the
// move is finished, since what passes is denied until then.
func TestMoveThatIsInterrupted(t *testing.T) {
	for after, c := range map[string]struct {
		changes int
		want    string
		err     error
	}{
		"made":    {1, "np ns/platform.db,np ns/security.db", ErrBoth},
		"deleted": {2, "np ns/db", nil},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		f := newFake(true, docs("NetworkPolicy ns/platform.db platform")...)
		f.after = func() {
			if len(f.log) == c.changes {
				cancel()
			}
		}
		_, err := Named(f, v331).Change(ctx, []cluster.Change{{Object: object("NetworkPolicy ns/db security\negress: [{action: Pass}]")}}, false)
		var told *cluster.Failure
		if !errors.Is(err, c.err) || c.err == nil && err != nil || c.err != nil && (!errors.As(err, &told) || !told.Partly) {
			t.Errorf("%s: %v", after, err)
		}
		if got := strings.Join(policyKeys(t, Named(f, v331)), ","); got != c.want {
			t.Errorf("%s: leaves %s, want %s", after, got, c.want)
		}
		if last := f.log[len(f.log)-1]; c.err == nil && !strings.HasSuffix(last, " Pass") {
			t.Errorf("%s: it ends with %s", after, last)
		}
		cancel()
	}
}

func TestCopyIsFresh(t *testing.T) {
	u := object("NetworkPolicy ns/platform.db platform")
	u.Object["metadata"] = map[string]any{
		"name": "platform.db", "namespace": "ns", "uid": "x", "resourceVersion": "7", "generation": int64(3), "creationTimestamp": "t",
		"managedFields": []any{}, "finalizers": []any{"f"}, "ownerReferences": []any{map[string]any{"name": "o"}},
		"labels":      map[string]any{"projectcalico.org/tier": "platform", "a": "b"},
		"annotations": map[string]any{"projectcalico.org/metadata": "{}", "c": "d"},
	}
	want := map[string]any{
		"name": "security.db", "namespace": "ns", "ownerReferences": []any{map[string]any{"name": "o"}},
		"labels": map[string]any{"a": "b"}, "annotations": map[string]any{"c": "d"},
	}
	if d := cmp.Diff(want, copyFor(u, "security.db").Object["metadata"]); d != "" {
		t.Error(d)
	}
}
