package chain

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const entry = `{"type":"netpol","socket":"/run/netpol/agent.sock"}`

// lists are configurations as network plugins write them.
var lists = map[string][2]string{
	"spread out": {`{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {"hairpinMode": true}
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
`, `{
  "name": "k8s-pod-network",
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "flannel",
      "delegate": {"hairpinMode": true}
    },
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    },
    ` + entry + `
  ]
}
`},
	"one plugin":                {`{"name":"pods","plugins": [{"type": "ptp"}]}`, `{"name":"pods","plugins": [{"type": "ptp"},` + entry + `]}`},
	"compact":                   {`{"plugins":[{"type":"a"},{"type":"b"}],"name":"x"}`, `{"plugins":[{"type":"a"},{"type":"b"},` + entry + `],"name":"x"}`},
	"numbers that are not ours": {`{"plugins":[{"type":"a","mtu":1.50e3,"é":"\u00e9"}]}` + "\n\n", `{"plugins":[{"type":"a","mtu":1.50e3,"é":"\u00e9"},` + entry + `]}` + "\n\n"},
	"a comma on a line of its own": {"{\"plugins\":[\n {\"type\":\"a\"}\n ,\n {\"type\":\"b\"}\n]}",
		"{\"plugins\":[\n {\"type\":\"a\"}\n ,\n {\"type\":\"b\"}," + entry + "\n]}"},
}

// The rest of the file stays as it is, byte by byte, and comes back so.
func TestTheEntryIsTheLastAndTheRestStays(t *testing.T) {
	for about, c := range lists {
		got, err := with([]byte(c[0]), []byte(entry))
		if err != nil || string(got) != c[1] {
			t.Errorf("%s: %v\n%s\nwant\n%s", about, err, got, c[1])
		}
		if twice, err := with(got, []byte(entry)); err != nil || string(twice) != c[1] {
			t.Errorf("%s, again: %v\n%s", about, err, twice)
		}
		if back, err := without(got, "netpol"); err != nil || string(back) != c[0] {
			t.Errorf("%s, taken out: %v\n%s\nwant\n%s", about, err, back, c[0])
		}
	}
}

func TestAnEntryOfAFormerVersionIsReplaced(t *testing.T) {
	for about, list := range map[string]string{
		"other settings":    `{"plugins":[{"type":"a"},{"type":"netpol","timeout":"5s"}]}`,
		"not the last":      `{"plugins":[{"type":"netpol"},{"type":"a"}]}`,
		"there twice":       `{"plugins":[{"type":"a"},` + entry + `,` + entry + `]}`,
		"another behind it": `{"plugins":[{"type":"a"},` + entry + `,{"type":"netpol"}]}`,
	} {
		got, err := with([]byte(list), []byte(entry))
		if want := `{"plugins":[{"type":"a"},` + entry + `]}`; err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", about, err, got, want)
		}
	}
}

func TestWhatIsNoListIsRefused(t *testing.T) {
	for _, text := range []string{``, `{`, `[]`, `{"plugins":{}}`, `{"plugins":[]}`, `{"name":"x"}`, `{"plugins":[{"type":"a"}]} x`,
		`{"plugins":[{"type":"a"}],"plugins":[{"type":"b"}]}`, `{"plugins":[{"type":"a"}`} {
		if got, err := with([]byte(text), []byte(entry)); err == nil {
			t.Errorf("%s: %s", text, got)
		}
	}
	if _, err := without([]byte(`{"plugins":[`+entry+`]}`), "netpol"); err == nil {
		t.Error("a list without plugins would be left")
	}
}

// files makes a directory of configurations.
func files(t *testing.T, all map[string]string) Dir {
	t.Helper()
	d := Dir{Path: t.TempDir()}
	for name, text := range all {
		d.set(t, name, text)
	}
	return d
}

func (d Dir) set(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(d.Path, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func (d Dir) content(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(d.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(d.Path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out[e.Name()] = string(data)
	}
	return out
}

func (d Dir) is(t *testing.T, about string, want map[string]string) {
	t.Helper()
	got := d.content(t)
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %s is\n%s\nwant\n%s", about, name, got[name], text)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s: there is %s besides", about, name)
	}
}

const (
	listA     = `{"name":"a","plugins":[{"type":"a"}]}`
	listAOurs = `{"name":"a","plugins":[{"type":"a"},` + entry + `]}`
	listB     = `{"name":"b","plugins":[{"type":"b"}]}`
	confC     = `{"cniVersion":"0.3.1","name":"c","type":"c"}`
	confCOurs = `{"cniVersion":"0.3.1","name":"c","plugins":[` + "\n" + confC + ",\n" + entry + "\n]}\n"
)

func TestTheFirstConfigurationThatCanBeReadIsTheNodes(t *testing.T) {
	for about, c := range map[string]struct {
		before, with map[string]string
		file         string
	}{
		"two lists":          {map[string]string{"10-a.conflist": listA, "20-b.conflist": listB}, map[string]string{"10-a.conflist": listAOurs, "20-b.conflist": listB}, "10-a.conflist"},
		"a broken one first": {map[string]string{"00-x.conflist": "{", "10-a.conflist": listA}, map[string]string{"00-x.conflist": "{", "10-a.conflist": listAOurs}, "10-a.conflist"},
		"files of others":    {map[string]string{"calico-kubeconfig": "a: b", "00-a.conflist.bak": listB, "10-a.conflist": listA}, map[string]string{"calico-kubeconfig": "a: b", "00-a.conflist.bak": listB, "10-a.conflist": listAOurs}, "10-a.conflist"},
		"one plugin": {map[string]string{"10-c.conf": confC, "10-c.conflist": listB, "20-b.conflist": listB},
			map[string]string{"10-c.conf.netpol": confC, "10-c.conf-netpol.conflist": confCOurs, "10-c.conflist": listB, "20-b.conflist": listB}, "10-c.conf-netpol.conflist"},
		"one plugin as .json": {map[string]string{"c.json": confC}, map[string]string{"c.json.netpol": confC, "c.json-netpol.conflist": confCOurs}, "c.json-netpol.conflist"},
	} {
		d := files(t, c.before)
		for _, changes := range []bool{true, false} { // the second time nothing
			name, changed, err := d.Put([]byte(entry))
			if err != nil || changed != changes || name != c.file {
				t.Errorf("%s: %s, changed %v, %v", about, name, changed, err)
			}
			d.is(t, about, c.with)
		}
		if has, err := d.Has("netpol"); err != nil || has != c.file {
			t.Errorf("%s: %s, %v", about, has, err)
		}
		info, err := os.Stat(filepath.Join(d.Path, c.file))
		if err != nil || info.Mode().Perm() != 0o640 {
			t.Errorf("%s: mode %v, %v", about, info.Mode(), err)
		}
		took, err := d.Take("netpol")
		if err != nil || !slices.Equal(took, []string{c.file}) {
			t.Errorf("%s: took %v, %v", about, took, err)
		}
		d.is(t, about+", taken out", c.before)
	}
}

// Who owns the configuration writes it anew, adds one that comes first, or
// replaces one that was kept.
func TestRewritingIsFollowed(t *testing.T) {
	d := files(t, map[string]string{"10-c.conf": confC})
	put := func() {
		t.Helper()
		if _, _, err := d.Put([]byte(entry)); err != nil {
			t.Fatal(err)
		}
	}
	put()
	newer := strings.Replace(confC, `"c"`, `"newer"`, 1)
	d.set(t, "10-c.conf", newer)
	put()
	d.is(t, "written anew", map[string]string{"10-c.conf.netpol": newer, "10-c.conf-netpol.conflist": strings.ReplaceAll(confCOurs, `"name":"c"`, `"name":"newer"`)})
	d.set(t, "05-a.conflist", listA)
	put()
	d.is(t, "another comes first", map[string]string{"05-a.conflist": listAOurs, "10-c.conf": newer})
	d.set(t, "05-a.conflist", listB)
	put()
	d.is(t, "a list written anew", map[string]string{"05-a.conflist": strings.Replace(listAOurs, `"name":"a","plugins":[{"type":"a"}`, `"name":"b","plugins":[{"type":"b"}`, 1), "10-c.conf": newer})
	if err := os.Remove(filepath.Join(d.Path, "05-a.conflist")); err != nil {
		t.Fatal(err)
	}
	put()
	d.set(t, "10-c.conf", confC) // not seen yet by Put
	if _, err := d.Take("netpol"); err != nil {
		t.Fatal(err)
	}
	d.is(t, "taken out beside a newer one", map[string]string{"10-c.conf": confC})
}

func TestNoNetworkYet(t *testing.T) {
	d := files(t, map[string]string{"10-x.conf": `{"name":"x"}`})
	if _, _, err := d.Put([]byte(entry)); !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), "10-x.conf: no type") {
		t.Errorf("%v", err)
	}
	if _, err := d.Has("netpol"); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("%v", err)
	}
}

// A file that somebody else writes at the same moment is theirs.
func TestAChangeOfOthersIsNotOverwritten(t *testing.T) {
	d := files(t, map[string]string{"10-a.conflist": listA})
	f, err := d.open("10-a.conflist")
	if err != nil {
		t.Fatal(err)
	}
	d.set(t, "10-a.conflist", listB)
	if _, err := d.extend(f, []byte(entry)); !errors.Is(err, errChanged) {
		t.Errorf("%v", err)
	}
	d.is(t, "after that", map[string]string{"10-a.conflist": listB})
}

// What leads elsewhere is left alone, and what can't be read and may name us
// keeps the program on the node.
func TestTheProgramStaysWhileItMayBeNamed(t *testing.T) {
	d := files(t, map[string]string{"10-a.conflist": listA})
	p := Plugin{Program: self(t), Bin: t.TempDir(), Name: "netpol", Conf: d, Entry: []byte(entry)}
	if _, _, err := p.Put(); err != nil {
		t.Fatal(err)
	}
	d.set(t, "20-b.conflist", `{"plugins":[{"type":"netpol"}`)
	if _, err := p.Take(); err == nil || !strings.Contains(err.Error(), "20-b.conflist") {
		t.Errorf("%v", err)
	}
	program := filepath.Join(p.Bin, "netpol")
	if _, err := os.Stat(program); err != nil {
		t.Error("the program is gone, and a configuration names it")
	}
	if err := os.Remove(filepath.Join(d.Path, "20-b.conflist")); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Take(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(program); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program is still there: %v", err)
	}
	if err := os.Symlink("elsewhere", filepath.Join(d.Path, "00-link.conflist")); err != nil {
		t.Fatal(err)
	}
	if name, _, err := d.Put([]byte(entry)); err != nil || name != "10-a.conflist" {
		t.Errorf("%s %v", name, err)
	}
}

// self is a program: the test's own would be large.
func self(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheProgramIsWholeOrNotThere(t *testing.T) {
	dir, from := t.TempDir(), self(t)
	if err := os.WriteFile(filepath.Join(dir, unfinished+"1"), []byte("a pro"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, changes := range []bool{true, false} {
		if changed, err := Program(from, dir, "netpol"); err != nil || changed != changes {
			t.Errorf("changed %v, %v", changed, err)
		}
	}
	// The same size, another content: as a newer version may have.
	if err := os.WriteFile(from, []byte("A program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if changed, err := Program(from, dir, "netpol"); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 || list[0].Name() != "netpol" {
		t.Errorf("%v %v", list, err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "netpol"))
	info, serr := os.Stat(filepath.Join(dir, "netpol"))
	if err != nil || serr != nil || string(data) != "A program" || info.Mode().Perm() != 0o755 {
		t.Errorf("%s %v %v", data, err, serr)
	}
}

// Keep follows the directory until it is ended.
func TestKeep(t *testing.T) {
	d := files(t, nil)
	p := Plugin{Program: self(t), Bin: t.TempDir(), Name: "netpol", Conf: d, Entry: []byte(entry)}
	ctx, stop := context.WithCancel(t.Context())
	var missing, inForce atomic.Bool
	p.Tell = func(_ context.Context, name string, err error) {
		missing.Store(missing.Load() || errors.Is(err, ErrNoNetwork))
		inForce.Store(inForce.Load() || err == nil && name == "10-a.conflist")
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Keep(ctx, slog.New(slog.NewTextHandler(io.Discard, nil))) }()
	await := func(about string, want string) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if data, _ := os.ReadFile(filepath.Join(d.Path, "10-a.conflist")); string(data) == want {
				return
			}
		}
		t.Fatalf("%s: %v", about, d.content(t))
	}
	for end := time.Now().Add(30 * time.Second); !missing.Load() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	d.set(t, "10-a.conflist", listA)
	await("the network comes", listAOurs)
	d.set(t, "10-a.conflist", listA)
	await("it is written anew", listAOurs)
	for end := time.Now().Add(30 * time.Second); !inForce.Load() && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !missing.Load() || !inForce.Load() {
		t.Errorf("told that it is missing: %v, and then that it is in force: %v", missing.Load(), inForce.Load())
	}
	await("an end changes nothing", listAOurs)
}
