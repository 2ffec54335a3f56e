// Package jsonlines reads large files of JSON lines on several processors, and
// makes flow sources of them.
//
// Its parser knows the plain form that programs write. What it does not know it
// leaves to encoding/json, and what it reads encoding/json reads alike.
package jsonlines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// mostLine bounds a line, in bytes.
const mostLine = 16 << 20

// chunkSize is how many bytes are read at once, at most.
const chunkSize = 256 << 10

// chunk is some whole lines, and what they say.
type chunk[T any] struct {
	data  []byte
	line  int // the number of the first
	items []T
	lines []int // their numbers
	err   error // at a line after those of items
	done  chan struct{}
}

// Each calls f in order for what every line of r says that is not empty, as a
// Reader has it, and closes r.
func Each[T any](name string, r io.ReadCloser, decoder func() func(line []byte) (T, error), f func(*T) error) error {
	lines := NewReader(name, r, decoder)
	defer lines.Close()
	for {
		item, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(item); err != nil {
			return err
		}
	}
}

// Reader has what the lines say that are not empty, in order. It is for one
// goroutine.
type Reader[T any] struct {
	in *input[T]
	c  *chunk[T] // what is being handed out
	i  int       // how many of its items were
}

// NewReader reads r. Lines are decoded at the same time, each by one of the
// decoders that decoder makes. A line's bytes are its decoder's, and its item's
// until the next is asked for. name is what errors call r.
func NewReader[T any](name string, r io.ReadCloser, decoder func() func(line []byte) (T, error)) *Reader[T] {
	workers := min(runtime.GOMAXPROCS(0), 4)
	in := &input[T]{name: name, r: r, quit: make(chan struct{}), work: make(chan *chunk[T]), order: make(chan *chunk[T], workers+1), free: make(chan *chunk[T], workers+2)}
	for range cap(in.free) {
		in.free <- &chunk[T]{}
	}
	for range workers {
		go in.decode(decoder())
	}
	go in.read()
	return &Reader[T]{in: in}
}

// Close ends the reading. The file is closed after its last read, which may be
// later.
func (r *Reader[T]) Close() { close(r.in.quit) }

// Next is what the next line says; io.EOF after the last one. An error of a
// decoder or of the file is told with the file's name and the line, and nothing
// comes after it. Where the file ends within a line, or within what it is packed
// by, it is io.ErrUnexpectedEOF.
func (r *Reader[T]) Next() (*T, error) {
	for r.c == nil || r.i == len(r.c.items) {
		if r.c != nil {
			if r.c.err != nil {
				return nil, r.c.err
			}
			r.in.free <- r.c
		}
		c, ok := <-r.in.order
		if r.c, r.i = c, 0; !ok {
			return nil, io.EOF
		}
		<-c.done
	}
	r.i++
	return &r.c.items[r.i-1], nil
}

// Line is the number of the line that Next had last, from 1.
func (r *Reader[T]) Line() int { return r.c.lines[r.i-1] }

// Ended says whether the line that Next had last was ended by a newline.
func (r *Reader[T]) Ended() bool {
	return r.i < len(r.c.items) || bytes.HasSuffix(r.c.data, []byte("\n"))
}

// input is what the goroutines of a Reader share.
type input[T any] struct {
	name string
	r    io.ReadCloser
	quit chan struct{}
	work chan *chunk[T]
	// order has the chunks as they are in the file; free those that are of no
	// use any more.
	order, free chan *chunk[T]
}

// read cuts what is read into chunks. Lines go on as soon as they are there.
func (in *input[T]) read() {
	defer close(in.order)
	defer close(in.work)
	defer func() { _ = in.r.Close() }() // nothing was written
	var rest []byte
	n := 1
	for {
		var c *chunk[T]
		select {
		case c = <-in.free:
		case <-in.quit:
			return
		}
		c.line, c.items, c.lines, c.err, c.done = n, c.items[:0], c.lines[:0], nil, make(chan struct{})
		data, err := in.fill(append(c.data[:0], rest...))
		end := len(data)
		if err == nil {
			end = bytes.LastIndexByte(data, '\n') + 1
		}
		rest = append(rest[:0], data[end:]...)
		c.data = data[:end]
		n += bytes.Count(c.data, []byte("\n"))
		if err != nil && !errors.Is(err, io.EOF) {
			c.data, c.err = data[:bytes.LastIndexByte(data, '\n')+1], fmt.Errorf("%s:%d: %w", in.name, n, err)
		}
		if !in.send(c) || err != nil {
			return
		}
	}
}

var errLong = fmt.Errorf("the line is longer than %d MB: expected one JSON object a line", mostLine>>20)

// fill reads until there is the end of a line.
func (in *input[T]) fill(data []byte) ([]byte, error) {
	for {
		if cap(data)-len(data) < chunkSize {
			data = append(make([]byte, 0, len(data)+2*chunkSize), data...)
		}
		n, err := in.r.Read(data[len(data) : len(data)+chunkSize])
		before := len(data)
		data = data[:before+n]
		if err != nil || bytes.IndexByte(data[before:], '\n') >= 0 {
			return data, err
		}
		if len(data) > mostLine {
			return data, errLong
		}
	}
}

func (in *input[T]) send(c *chunk[T]) bool {
	select {
	case in.order <- c:
	case <-in.quit:
		return false
	}
	select {
	case in.work <- c:
		return true
	case <-in.quit:
		return false
	}
}

// decode decodes the lines of chunks.
func (in *input[T]) decode(line func([]byte) (T, error)) {
	for c := range in.work {
		in.decodeChunk(c, line)
		close(c.done)
	}
}

// cutLine is the error of a line that whoever wrote it did not end. A first line
// is none such: nothing says then that the file is what it should be.
type cutLine struct{ error }

// Is says that it is an io.ErrUnexpectedEOF too.
func (cutLine) Is(target error) bool { return target == io.ErrUnexpectedEOF }

// Unwrap is what is wrong with the line.
func (e cutLine) Unwrap() error { return e.error }

// half says whether a line is JSON that goes on.
func half(line []byte) bool {
	var value json.RawMessage
	return errors.Is(json.NewDecoder(bytes.NewReader(line)).Decode(&value), io.ErrUnexpectedEOF)
}

func (in *input[T]) decodeChunk(c *chunk[T], decode func([]byte) (T, error)) {
	n := c.line - 1
	for whole := range bytes.Lines(c.data) {
		n++
		line := bytes.TrimSpace(whole)
		if len(line) == 0 {
			continue
		}
		item, err := decode(line)
		if err != nil && n > 1 && !bytes.HasSuffix(whole, []byte("\n")) && half(line) {
			err = cutLine{err}
		}
		if err != nil {
			c.err = fmt.Errorf("%s:%d: %w", in.name, n, err)
			return
		}
		c.items, c.lines = append(c.items, item), append(c.lines, n)
	}
}
