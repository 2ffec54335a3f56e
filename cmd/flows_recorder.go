package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
	"github.com/netpol-project/netpol/pkg/policy"
)

// flowRecorder writes one recording.
type flowRecorder struct {
	opts   *RecordOptions
	filter flow.Filter
	source flow.Source
	world  *world
	out    *recording.Writer
	ends   map[policy.Workload]bool
	from   time.Time
}

// create begins the file.
func (r *flowRecorder) create(c flow.Coverage) error {
	if had := c.Namespaces; len(had) > 0 {
		if c.Namespaces = r.namespaces(c); len(c.Namespaces) == 0 {
			return cli.Usage("the same with -n "+strings.Join(had, ","), "the recording has flows of %s alone", strings.Join(had, ", "))
		}
	}
	c.Namespaces = r.namespaces(c)
	header := recording.Header{Created: r.opts.Factory.Now(), Program: "netpol " + programVersion()}.Covered(c)
	if r.opts.Output == "-" {
		var err error
		if r.out, err = recording.NewWriter(r.opts.Factory.IO.Out, header); err != nil {
			return err
		}
		return r.objects(r.world.snap)
	}
	info, err := os.Stat(r.opts.Output)
	switch {
	case err == nil && info.IsDir():
		return cli.Usage("-o "+cli.ShellWord(filepath.Join(r.opts.Output, "flows.jsonl.zst")), "-o %s is a directory, and a recording is a file", r.opts.Output)
	case err == nil && !info.Mode().IsRegular(): // the file would take its place
		return cli.Usage("-o -", "-o %s is a device or a pipe, and a recording is a file; -o - writes to standard output", r.opts.Output)
	}
	if r.out, err = recording.Create(r.opts.Output, header); err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return &cli.Error{What: "-o " + r.opts.Output + ": " + err.Error(), Err: err}
	}
	return r.objects(r.world.snap)
}

// objects writes what flows are judged by: all there is, or of the namespaces
// that were asked for and of what the flows from there touch.
func (r *flowRecorder) objects(snap *policy.Snapshot) error {
	all := recording.Objects(snap)
	if len(r.filter.Namespaces) == 0 {
		return r.out.Objects(all)
	}
	inside, touched := map[string]bool{}, map[string]bool{}
	for _, ns := range r.filter.Namespaces {
		inside[ns] = true
	}
	for w := range r.ends {
		touched[w.Namespace] = true
	}
	var some []recording.Object
	for _, o := range all {
		ns := o.Key.Namespace
		if o.Key.Kind == policy.KindNamespace {
			ns = o.Key.Name
		}
		if ns == "" || inside[ns] || touched[ns] && (o.Key.Kind != policy.KindPod || r.ends[o.Workload]) {
			some = append(some, o)
		}
	}
	return r.out.Objects(some)
}

func (r *flowRecorder) write(f *flow.Flow) error {
	for _, p := range []flow.Peer{f.Source, f.Destination} {
		if p.Kind == flow.PeerWorkload {
			r.ends[p.Workload] = true
		}
	}
	return r.out.Flow(f)
}

// list records what there is.
func (r *flowRecorder) list(ctx context.Context) error {
	flows, coverage, err := r.source.List(ctx, r.filter)
	if err != nil {
		return r.opts.Source.failed(r.source, err)
	}
	r.world.recorded(r.opts.Factory, r.source)
	if err := r.create(coverage); err != nil {
		return err
	}
	if r.byHours(coverage) {
		if err := r.hourly(ctx, coverage); err != nil {
			r.out.Abandon()
			return err
		}
		return r.close(r.world.snap, coverage)
	}
	for i := range flows {
		if err := r.write(&flows[i]); err != nil {
			break // Close tells it again
		}
	}
	return r.close(r.world.snap, coverage)
}

// flushEvery is how much of a recording may be lost when it is cut off.
const flushEvery = 5 * time.Second

// follow records what comes in. Its end, by --for or by Ctrl-C, is no error.
func (r *flowRecorder) follow(ctx context.Context) error {
	f := r.opts.Factory
	r.from = f.Now()
	if !r.filter.Since.IsZero() {
		r.from = r.filter.Since
	}
	if err := r.create(flow.Coverage{From: r.from, To: r.from}); err != nil {
		return err
	}
	if err := r.out.Flush(); err != nil {
		return r.failed(err)
	}
	// Not a deadline: gRPC would tell it to the server, whose clock is another.
	within, cancel := context.WithCancel(ctx)
	defer cancel()
	if r.opts.For > 0 {
		defer time.AfterFunc(r.opts.For, cancel).Stop()
	}
	f.IO.ErrPrinter().Printf("recording into %s; Ctrl-C ends it\n", r.name())
	flushed := f.Now()
	err := r.source.Follow(within, r.filter, func(fl flow.Flow) error {
		if err := r.write(&fl); err != nil {
			return r.failed(err)
		}
		if now := f.Now(); now.Sub(flushed) >= flushEvery {
			flushed = now
			if err := r.out.Flush(); err != nil {
				return r.failed(err)
			}
		}
		return nil
	})
	if err != nil && within.Err() == nil && cli.Code(err) != cli.ExitInterrupted {
		r.out.Abandon()
		return r.opts.Source.failed(r.source, err)
	}
	// Pods that came meanwhile. The command may be ending already.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	snap := r.world.snap
	if now, _, err := r.world.store.Snapshot(last); err == nil {
		snap = now
	} else {
		f.IO.ErrPrinter().Printf("note: pods that came while recording are missing: %v\n", err)
	}
	_, coverage, err := r.source.List(last, flow.Filter{Since: r.from, Namespaces: r.filter.Namespaces})
	if err != nil {
		coverage = flow.Coverage{From: r.from, To: f.Now(), LostUnknown: true}
	}
	return r.close(snap, coverage)
}

func (r *flowRecorder) failed(err error) error {
	r.out.Abandon()
	e := &cli.Error{What: "-o " + r.opts.Output + ": " + err.Error(), Err: err}
	if r.opts.Output != "-" {
		e.Where = []string{"what was recorded before that is in " + r.opts.Output + ".partial"}
	}
	return e
}

// name is what the file is called.
func (r *flowRecorder) name() string {
	if r.opts.Output == "-" {
		return "standard output"
	}
	return r.opts.Output
}

// close ends the file.
func (r *flowRecorder) close(snap *policy.Snapshot, coverage flow.Coverage) error {
	coverage.Namespaces = r.namespaces(coverage)
	_ = r.objects(snap) // Close tells what failed
	if err := r.out.Close(coverage); err != nil {
		return &cli.Error{What: "-o " + r.opts.Output + ": " + err.Error(), Err: err}
	}
	r.opts.Factory.IO.ErrPrinter().Printf("%s in %s, %s\n", plural(int(r.out.Records()), "record"), r.name(), newCoverageReport(coverage).text())
	return nil
}
