package cli

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/calicolog"
	"github.com/netpol-project/netpol/pkg/flow/hubble"
	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
	"github.com/netpol-project/netpol/pkg/flow/recording"
)

// looked is how many bytes of a file tell what is in it.
const looked = 64 << 10

// file opens the file that --flows names.
func (o FlowsFrom) file() (flow.Source, error) {
	open := func() (*unpacked, error) {
		f, err := os.Open(o.From)
		if err == nil {
			var u *unpacked
			if u, err = unpack(f); err == nil {
				return u, nil
			}
			_ = f.Close()
		}
		return nil, fileError("--flows", o.From, err)
	}
	u, err := open()
	if err != nil {
		return nil, err
	}
	kept := u // what looking has opened is read first
	return o.contents(o.From, u, func() (io.ReadCloser, error) {
		if u := kept; u != nil {
			kept = nil
			return u, nil
		}
		if o.Once() { // it would be empty, or nobody would ever write into it
			return nil, Usage("--flows FILE", "--flows %s: a pipe can be read only once, and is needed again", o.From)
		}
		return open()
	})
}

// stdin reads standard input, which can be read once.
func (o FlowsFrom) stdin(in io.Reader) (flow.Source, error) {
	const name = "standard input"
	u, err := unpack(io.NopCloser(in))
	if err != nil {
		return nil, fileError("--flows", name, err)
	}
	read := false
	return o.contents(name, u, func() (io.ReadCloser, error) {
		if read {
			return nil, Usage("--flows FILE", "--flows -: standard input can be read only once, and is needed again")
		}
		read = true
		return u, nil
	})
}

// contents is a source of what is in a file.
func (o FlowsFrom) contents(name string, u *unpacked, open func() (io.ReadCloser, error)) (flow.Source, error) {
	start, err := u.Peek(looked) // a file may be shorter
	switch {
	case isRecording(start):
	case errors.Is(err, io.ErrUnexpectedEOF) && bytes.IndexByte(start, '\n') < 0:
		// It was cut off before it tells what it is; netpol packs recordings.
	case errors.Is(err, io.EOF) && halfAnObject(start):
		return nil, fmt.Errorf("%s ends within its first line, so that nothing tells what it is: write it anew", name)
	case hubble.IsEvent(start):
		return flow.FromHubble(o.lines(name, hubble.NewSource(name, open))), nil
	default:
		return flow.FromCalico(o.lines(name, unlikely(calicolog.NewSource(name, open)))), nil
	}
	source, err := recording.Open(name, open)
	if err != nil {
		return nil, o.Error(err)
	}
	return source, nil
}

// lines reads a source that was cut off as far as it goes, and tells so.
func (o FlowsFrom) lines(name string, s *jsonlines.Source) flow.Source {
	s.Cut = func(flows int64) {
		if o.Note == nil {
			return
		}
		switch flows {
		case 0:
			o.Note(name + " was cut off before its first flow")
		case 1:
			o.Note(name + " was cut off after 1 record: what comes after that is missing")
		default:
			o.Note(fmt.Sprintf("%s was cut off after %d records: what comes after these is missing", name, flows))
		}
	}
	return s
}

// unlikely says of a file that is an error from its first line on what it was
// taken for.
func unlikely(s *jsonlines.Source) *jsonlines.Source {
	each := s.Each
	s.Each = func(r io.ReadCloser, f func(*flow.Flow) error) (int64, error) {
		read := false
		lost, err := each(r, func(fl *flow.Flow) error {
			read = true
			return f(fl)
		})
		if err != nil && !read && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w (it begins neither as a recording nor as Hubble's flows, so it is read as Calico's flow logs)", err)
		}
		return lost, err
	}
	return s
}

// halfAnObject says whether text is a JSON object that goes on.
func halfAnObject(text []byte) bool {
	text = bytes.TrimSpace(text)
	var value json.RawMessage
	return bytes.HasPrefix(text, []byte("{")) && errors.Is(json.NewDecoder(bytes.NewReader(text)).Decode(&value), io.ErrUnexpectedEOF)
}

// isRecording says whether text begins with a recording's header.
func isRecording(text []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return false
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return false
		}
		if key == "kind" {
			return string(value) == `"`+recording.Kind+`"`
		}
	}
	return false
}

// unpacked reads a file that may be packed with zstd or gzip.
type unpacked struct {
	*bufio.Reader
	close func()
}

// Close implements io.Closer.
func (u *unpacked) Close() error {
	u.close()
	return nil // nothing was written
}

// How files begin that are packed.
var (
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}
	gzipMagic = []byte{0x1f, 0x8b}
)

// cutOff is what is left of a packed file that ends within its first bytes.
type cutOff struct{}

// Read implements io.Reader.
func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// unpack tells by the first bytes how f is packed. Closing it closes f.
func unpack(f io.ReadCloser) (*unpacked, error) {
	in := bufio.NewReaderSize(f, looked)
	start, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case len(start) > 0 && len(start) < len(zstdMagic) && (bytes.HasPrefix(zstdMagic, start) || bytes.HasPrefix(gzipMagic, start)):
		return &unpacked{bufio.NewReader(cutOff{}), func() { _ = f.Close() }}, nil
	case bytes.HasPrefix(start, zstdMagic):
		dec, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, err
		}
		return &unpacked{bufio.NewReaderSize(dec, looked), func() { dec.Close(); _ = f.Close() }}, nil
	case bytes.HasPrefix(start, gzipMagic):
		dec, err := gzip.NewReader(in)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return &unpacked{bufio.NewReader(cutOff{}), func() { _ = f.Close() }}, nil
		}
		if err != nil {
			return nil, err
		}
		return &unpacked{bufio.NewReaderSize(dec, looked), func() { _ = f.Close() }}, nil
	}
	return &unpacked{in, func() { _ = f.Close() }}, nil
}
