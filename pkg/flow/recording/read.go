package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// maxKnown bounds how many flows are known by the bytes of their lines (55 MB).
const maxKnown = 500_000

// errCut is the end of a recording that somebody cut off.
var errCut = errors.New("cut off")

// reader reads the lines of a recording in order.
type reader struct {
	name    string
	in      *jsonlines.Reader[split]
	n       int // lines read
	header  Header
	world   *world
	again   bool // world is whole already
	end     *end
	records int64
	cut     bool
	known   *known
	first   time.Time // oldest and
	last    time.Time // newest moment that a record is of
	pending *record   // read, and not yet handed out
}

// record is a line with a flow.
type record struct {
	*subjectUse
	counts
}

// newReader reads the header, and what comes before the first flow. Where the
// file was read before, its objects are known. A recording that was cut off in its
// header has nothing. The file is closed by close, whatever comes of it.
func newReader(name string, file io.ReadCloser, before *reader) (*reader, error) {
	r := &reader{name: name, world: newWorld(), known: newKnown()}
	if before != nil {
		r.world, r.again = before.world, true
	}
	r.in = jsonlines.NewReader(name, file, r.known.seeds.splitter)
	if err := r.begin(); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *reader) close() {
	r.in.Close()
	r.in = nil // its buffers are of no use any more
}

func (r *reader) begin() error {
	header, err := r.line()
	if errors.Is(err, errCut) {
		r.cut = true
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%s:1: the recording ends before its first line does", r.name)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(header.line, &r.header); err != nil {
		if r.half(err) {
			r.cut = true
			return nil
		}
		return r.errorf("the first line of a recording: %w", err)
	}
	if r.header.Kind != Kind || r.header.APIVersion != APIVersion {
		return r.errorf("a recording of %q, kind %q: this netpol reads %s, kind %s", r.header.APIVersion, r.header.Kind, APIVersion, Kind)
	}
	first, err := r.next()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err == nil {
		r.pending = &first
	}
	return err
}

func (r *reader) errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", r.name, r.n, fmt.Errorf(format, args...))
}

// line is the next line that is not empty; io.EOF after the last one, errCut
// where the last one or the packing around it is not whole. An object that is
// closed is whole, whether or not a newline follows.
func (r *reader) line() (*split, error) {
	s, err := r.in.Next()
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errCut
	}
	if err != nil {
		return nil, err
	}
	if !r.in.Ended() && !json.Valid(s.line) {
		return nil, errCut
	}
	r.n = r.in.Line()
	return s, nil
}

// next is the next flow; io.EOF if there is none any more.
func (r *reader) next() (record, error) {
	if p := r.pending; p != nil {
		r.pending = nil
		return *p, nil
	}
	for {
		s, err := r.line()
		if errors.Is(err, errCut) || errors.Is(err, io.EOF) && r.end == nil {
			r.cut = true
			return record{}, io.EOF
		}
		if err != nil {
			return record{}, err
		}
		if r.end != nil {
			return record{}, r.errorf("there is something after the end")
		}
		rec, ok, err := r.read(s)
		if r.half(err) {
			r.cut = true
			return record{}, io.EOF
		}
		if err != nil {
			return record{}, r.errorf("%w", err)
		}
		if ok {
			r.records++
			if r.first.IsZero() || rec.FirstSeen.Before(r.first) {
				r.first = rec.FirstSeen
			}
			if rec.LastSeen.After(r.last) {
				r.last = rec.LastSeen
			}
			return rec, nil
		}
	}
}

// half says of what is wrong with a line that the recording ends within it. The
// line is of no use after that.
func (r *reader) half(err error) bool {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return false
	}
	_, more := r.in.Next()
	return errors.Is(more, io.EOF)
}

// read reads a line; ok says that it is a flow's.
func (r *reader) read(s *split) (rec record, ok bool, err error) {
	if !s.fast {
		var l line
		if err := json.Unmarshal(s.line, &l); err != nil {
			return rec, false, err
		}
		switch {
		case l.Object != nil && r.again:
			return rec, false, nil
		case l.Object != nil:
			return rec, false, r.world.add(fmt.Sprintf("%s:%d", r.name, r.n), l.Object)
		case l.End != nil:
			r.end = l.End
			return rec, false, nil
		case l.Flow == nil:
			return rec, false, errors.New("expected an object, a flow or the end")
		}
		s.subject, s.counts, s.hash = l.Flow, l.counts, r.known.seeds.hash(l.Flow)
	}
	if err := s.check(); err != nil {
		return rec, false, err
	}
	rec.counts = s.counts
	rec.subjectUse, err = r.known.find(s.hash, s.subject)
	return rec, err == nil, err
}

// check refuses what nothing can have counted.
func (c *counts) check() error {
	switch {
	case c.FirstSeen.IsZero() || c.LastSeen.IsZero():
		return errors.New("firstSeen or lastSeen is missing")
	case !jsonlines.Plausible(c.FirstSeen) || !jsonlines.Plausible(c.LastSeen):
		return fmt.Errorf("seen from %s to %s, which no record can be of", c.FirstSeen.Format(time.RFC3339), c.LastSeen.Format(time.RFC3339))
	case c.LastSeen.Before(c.FirstSeen):
		return errors.New("lastSeen is before firstSeen")
	case min(c.Connections, c.Completed, c.Live, c.PacketsIn, c.PacketsOut, c.BytesIn, c.BytesOut) < 0:
		return errors.New("a count is negative")
	case max(c.Connections, c.Completed, c.Live, c.PacketsIn, c.PacketsOut, c.BytesIn, c.BytesOut) > flow.MaxCount:
		return fmt.Errorf("a count is more than %d, which nothing can have counted", int64(flow.MaxCount))
	}
	return nil
}

// coverage is what all that was read is evidence of. Where nobody says since
// when, it is from the first record on.
func (r *reader) coverage() flow.Coverage {
	c := r.header.Coverage.flow()
	told := r.end != nil && r.end.Coverage != nil
	if told {
		c = r.end.Coverage.flow()
	}
	if c.From.IsZero() {
		c.From = r.first
	}
	if !told && (r.last.After(c.To) || r.cut) || c.To.IsZero() {
		c.To = r.last
	}
	// Records are not in the order of time, so what is missing may be of any.
	c.LostUnknown = c.LostUnknown || r.cut
	return c
}
