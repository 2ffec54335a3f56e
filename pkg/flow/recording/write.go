package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// partial is what a file is called after its name until it is whole.
const partial = ".partial"

// Writer writes a recording. It is not for several goroutines at once. After an
// error it writes nothing more.
type Writer struct {
	buf     *bufio.Writer
	packed  flushCloser // what buf goes through
	file    *os.File
	path    string
	objects map[policy.Key]string
	records int64
	err     error
}

type flushCloser interface {
	io.WriteCloser
	Flush() error
}

// plain packs nothing.
type plain struct{ io.Writer }

func (plain) Flush() error { return nil }
func (plain) Close() error { return nil }

// Create begins the recording of that path: FILE.zst is packed with zstd,
// FILE.gz with gzip, any other not at all. Until Close it is called
// FILE.partial, and is readable as far as Flush was called.
func Create(path string, header Header) (*Writer, error) {
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o600); err != nil { // it may be what is left of another one
		return nil, errors.Join(err, f.Close())
	}
	w, err := newWriter(f, filepath.Ext(path), header)
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	w.file, w.path = f, path
	return w, nil
}

// NewWriter writes a recording to out, which is not packed.
func NewWriter(out io.Writer, header Header) (*Writer, error) { return newWriter(out, "", header) }

func newWriter(out io.Writer, ext string, header Header) (*Writer, error) {
	w := &Writer{objects: map[policy.Key]string{}}
	switch strings.ToLower(ext) {
	case ".zst", ".zstd":
		enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		w.packed = enc
	case ".gz":
		w.packed = gzip.NewWriter(out)
	default:
		w.packed = plain{out}
	}
	w.buf = bufio.NewWriterSize(w.packed, 64<<10)
	header.APIVersion, header.Kind, header.Created = APIVersion, Kind, header.Created.UTC().Truncate(time.Second)
	return w, w.line(header)
}

// Covered is a header's Coverage.
func (h Header) Covered(c flow.Coverage) Header {
	h.Coverage = newCoverage(c)
	return h
}

func (w *Writer) line(v any) error {
	if w.err != nil {
		return w.err
	}
	enc := json.NewEncoder(w.buf)
	enc.SetEscapeHTML(false)
	w.err = enc.Encode(v)
	return w.err
}

// Objects writes those that were not written yet as they are now.
func (w *Writer) Objects(objects []Object) error {
	for _, o := range objects {
		var text bytes.Buffer
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(o.body); err != nil {
			return err
		}
		if w.objects[o.Key] == text.String() {
			continue
		}
		w.objects[o.Key] = text.String()
		if err := w.line(struct {
			Object json.RawMessage `json:"object"`
		}{bytes.TrimSpace(text.Bytes())}); err != nil {
			return err
		}
	}
	return w.err
}

// Flow writes what a flow counted, or what it gained since it was written
// before.
func (w *Writer) Flow(f *flow.Flow) error {
	w.records++
	return w.line(newFlowLine(f))
}

// Records is how many flows were written.
func (w *Writer) Records() int64 { return w.records }

// Flush makes what was written so far readable whatever happens.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.err = w.buf.Flush()
	}
	if w.err == nil {
		w.err = w.packed.Flush()
	}
	return w.err
}

// Close writes the end, and gives the file its name.
func (w *Writer) Close(c flow.Coverage) error {
	_ = w.line(struct { // kept in w.err
		End end `json:"end"`
	}{end{w.records, newCoverage(c)}})
	if w.err == nil {
		w.err = w.buf.Flush()
	}
	if err := w.packed.Close(); w.err == nil {
		w.err = err
	}
	if w.file == nil {
		return w.err
	}
	if w.err == nil {
		w.err = w.file.Sync()
	}
	if err := w.file.Close(); w.err == nil {
		w.err = err
	}
	if w.err == nil {
		w.err = os.Rename(w.file.Name(), w.path)
	}
	if w.err != nil {
		return fmt.Errorf("%w; what was recorded before that is in %s", w.err, w.file.Name())
	}
	return nil
}

// Abandon leaves what was written as FILE.partial, which is readable.
func (w *Writer) Abandon() {
	_ = w.Flush() // as far as it goes
	_ = w.packed.Close()
	if w.file != nil {
		_ = w.file.Close()
	}
}
