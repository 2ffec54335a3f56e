package stage

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// trialLasts is how long the trials of begin do.
const trialLasts = 5 * time.Minute

// trialAPI has one policy, and takes a write only of who read the present one.
type trialAPI struct {
	object  *unstructured.Unstructured // nil: it is gone
	version int
	reverts []string // who wrote back
}

func (a *trialAPI) get() *unstructured.Unstructured {
	if a.object == nil {
		return nil
	}
	u := a.object.DeepCopy()
	u.SetResourceVersion(strconv.Itoa(a.version))
	return u
}

// put says whether it was the present one that was read.
func (a *trialAPI) put(read *unstructured.Unstructured, e Edit) bool {
	if a.object == nil || read == nil || read.GetResourceVersion() != strconv.Itoa(a.version) {
		return false
	}
	a.object, a.version = e.Object, a.version+1
	return true
}

// trialNode is an agent: its clock, what it was told last, and what it read to
// write it back.
type trialNode struct {
	name   string
	trials Trials
	boot   time.Duration // its clock when the trial began
	skew   time.Duration // of its time of day
	snap   *policy.Snapshot
	sees   time.Duration // since when it knows of the trial, after its beginning; -1: it does not
	late   bool          // it looked for the first time when the trial was there
	judged Judged
	read   *unstructured.Unstructured
}

func (n *trialNode) told(u *unstructured.Unstructured, passed time.Duration) {
	n.snap = &policy.Snapshot{}
	if u == nil {
		return
	}
	value, _ := policy.ValidateObject(u)
	p := value.(*policy.Policy)
	n.snap.Policies = []*policy.Policy{p}
	if p.Trial != nil && n.sees < 0 {
		n.sees = passed
	}
}

// inForce is what the node enforces: the order of the policy, or "none".
func (n *trialNode) inForce(passed time.Duration) string {
	n.judged, _ = n.trials.Look(n.snap, Moment{Since: n.boot + passed, Wall: trialStart.Add(passed + n.skew)})
	return ordersOf(Effective(n.snap, n.judged.Over))
}

func ordersOf(snap *policy.Snapshot) string {
	if len(snap.Policies) == 0 {
		return "none"
	}
	return fmt.Sprint(snap.Policies[0].Order)
}

// writeBack writes what was read, as cluster.TakeBack does.
func (n *trialNode) writeBack(a *trialAPI) {
	read := n.read
	if n.read = nil; read == nil || len(n.judged.Due) == 0 {
		return
	}
	e, err := TakeBack(read, n.judged.Due[0], NewRevert(RevertDeadline, n.name, trialStart))
	if err == nil && a.put(read, e) {
		a.reverts = append(a.reverts, n.name)
	}
}

// trialRun is several nodes and one person, in any order.
type trialRun struct {
	t         *rapid.T
	api       *trialAPI
	nodes     []*trialNode
	before    string
	passed    time.Duration
	read      *unstructured.Unstructured // by who confirms
	confirmed bool
}

func (r *trialRun) step() {
	n := rapid.SampledFrom(r.nodes).Draw(r.t, "node")
	switch rapid.SampledFrom([]string{"time", "told", "read", "write", "reads to confirm", "confirms"}).Draw(r.t, "what") {
	case "time":
		r.passed += time.Duration(rapid.IntRange(1, 120).Draw(r.t, "seconds")) * time.Second
	case "told":
		n.told(r.api.get(), r.passed)
	case "read":
		n.read = r.api.get()
	case "write":
		if n.writeBack(r.api); len(r.api.reverts) > 0 && r.passed < trialLasts {
			r.t.Fatalf("%s wrote back after %s", n.name, r.passed)
		}
	case "reads to confirm":
		r.read = r.api.get()
	case "confirms":
		r.confirm()
	}
	for _, n := range r.nodes {
		r.check(n)
	}
}

func (r *trialRun) confirm() {
	read := r.read
	if r.read = nil; read == nil {
		return
	}
	if edits, err := Confirm(read, nil); err == nil && r.api.put(read, edits[0]) {
		r.confirmed = true
	}
}

// check holds a node to what it was told and to its own clock.
func (r *trialRun) check(n *trialNode) {
	got := n.inForce(r.passed)
	if len(n.snap.Policies) == 0 || n.snap.Policies[0].Trial == nil {
		if want := ordersOf(n.snap); got != want {
			r.t.Fatalf("%s enforces %s, and was told %s", n.name, got, want)
		}
		return
	}
	switch over := r.passed-n.sees >= trialLasts; {
	case over && got != r.before:
		r.t.Fatalf("%s enforces %s after its deadline, want %s", n.name, got, r.before)
	case !over && !n.late && got != "10":
		r.t.Fatalf("%s enforces %s before its deadline", n.name, got)
	}
}

// Several agents, each with a clock of its own, are told late or not at all for a
// while, read and write at the same time as somebody confirms. Each of them goes
// back at its own deadline; one alone writes back, never before the time is over,
// and in the end all enforce what the API says, whoever was first.
func TestTrialOverSeveralNodes(t *testing.T) {
	for name, enforced := range map[string]string{"there were rules before": enforcedDB, "there was nothing before": ""} {
		t.Run(name, func(t *testing.T) {
			var was *unstructured.Unstructured
			before := "none"
			if enforced != "" {
				was, before = object(t, enforced), "20"
			}
			trial := begin(t, object(t, stagedDB), was)
			rapid.Check(t, func(t *rapid.T) {
				r := &trialRun{t: t, api: &trialAPI{object: trial}, before: before}
				for i := range 3 {
					n := &trialNode{
						name: fmt.Sprintf("n%d", i), sees: -1, late: rapid.Bool().Draw(t, "late"),
						boot: time.Duration(rapid.IntRange(1, 9999).Draw(t, "boot")) * time.Second,
						skew: time.Duration(rapid.IntRange(-600, 600).Draw(t, "skew")) * time.Second,
					}
					if n.told(was, 0); n.late {
						n.told(r.api.get(), 0)
					}
					r.nodes = append(r.nodes, n)
					n.inForce(0)
				}
				for range rapid.IntRange(0, 80).Draw(t, "steps") {
					r.step()
				}
				r.end()
			})
		})
	}
}

// end lets everybody reach the API again, until nothing is left to do.
func (r *trialRun) end() {
	r.told()
	r.passed += trialLasts
	for _, n := range r.nodes {
		r.check(n)
		n.read = r.api.get()
	}
	for _, n := range r.nodes {
		n.writeBack(r.api)
	}
	r.told()
	want := ordersOf(r.nodes[0].snap)
	for _, n := range r.nodes {
		if got := n.inForce(r.passed); got != want || len(n.judged.Due) > 0 {
			r.t.Fatalf("%s enforces %s, and the API says %s; to write back: %v", n.name, got, want, n.judged.Due)
		}
	}
	switch {
	case r.confirmed && (want != "10" || len(r.api.reverts) > 0):
		r.t.Fatalf("confirmed, and there is %s, written back by %v", want, r.api.reverts)
	case !r.confirmed && (want != r.before || len(r.api.reverts) != 1):
		r.t.Fatalf("not confirmed, and there is %s, written back by %v", want, r.api.reverts)
	}
	if r.api.object != nil && !r.confirmed {
		if by, ok := RevertOf(r.api.object); !ok || by.By != r.api.reverts[0] {
			r.t.Fatalf("written back by %v, and the policy says %v", r.api.reverts, by)
		}
	}
}

func (r *trialRun) told() {
	for _, n := range r.nodes {
		n.told(r.api.get(), r.passed)
		n.inForce(r.passed)
	}
}

// Who confirms at the very deadline and an agent that writes back have both read
// the same policy: the one that is heard first wins, and the other finds that out.
func TestTrialConfirmedAtTheVeryDeadline(t *testing.T) {
	for _, first := range []string{"agent", "person"} {
		api := &trialAPI{object: begin(t, object(t, stagedDB), object(t, enforcedDB))}
		n := &trialNode{name: "n1", sees: -1, boot: time.Hour}
		n.told(object(t, enforcedDB), 0)
		n.inForce(0)
		n.told(api.get(), 0)
		for passed, want := range map[time.Duration]string{trialLasts - 1: "10", trialLasts: "20"} {
			m := &trialNode{name: "n2", sees: -1, boot: time.Minute}
			m.told(object(t, enforcedDB), 0)
			m.inForce(0)
			m.told(api.get(), 0)
			m.inForce(0)
			if got := m.inForce(passed); got != want {
				t.Errorf("after %s: %s is enforced, want %s", passed, got, want)
			}
		}
		n.inForce(0)
		n.inForce(trialLasts)
		read := api.get()
		n.read = api.get()
		if first == "agent" {
			n.writeBack(api)
		}
		edits, err := Confirm(read, nil)
		if err != nil {
			t.Fatal(err)
		}
		confirmed := api.put(read, edits[0])
		n.writeBack(api)
		if confirmed != (first == "person") || len(api.reverts) == 1 == confirmed {
			t.Errorf("%s first: confirmed %v, written back by %v", first, confirmed, api.reverts)
		}
		n.told(api.get(), trialLasts)
		want := map[string]string{"agent": "20", "person": "10"}[first]
		if got := n.inForce(trialLasts); got != want {
			t.Errorf("%s first: %s is enforced, want %s", first, got, want)
		}
		// Read once more, it can't be confirmed any more, or need not.
		if _, err := Confirm(api.get(), nil); !errors.Is(err, ErrNoTrial) {
			t.Errorf("%s first: confirmed again: %v", first, err)
		}
	}
}
