package jsonlines

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

func numbers() func([]byte) (int, error) {
	return func(line []byte) (int, error) { return strconv.Atoi(string(line)) }
}

func collect(r io.Reader) (out []int, err error) {
	err = Each("f", io.NopCloser(r), numbers, func(n *int) error {
		out = append(out, *n)
		return nil
	})
	return out, err
}

// Lines come in order, however they are read, and whichever end they have.
func TestLinesComeInOrder(t *testing.T) {
	var text strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&text, "%d%s", i, []string{"\n", "\r\n", "\n\n", " \n"}[i%4])
	}
	whole := strings.TrimSpace(text.String())
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(text.String()), "no end": strings.NewReader(whole), "halves": iotest.HalfReader(strings.NewReader(whole)),
		"with EOF": iotest.DataErrReader(strings.NewReader(whole)),
	} {
		got, err := collect(r)
		if err != nil || len(got) != 100_000 {
			t.Fatalf("%s: %d lines, %v", name, len(got), err)
		}
		for i, n := range got {
			if n != i {
				t.Fatalf("%s: %d at %d", name, n, i)
			}
		}
	}
}

// A line of a pipe is told before the next one comes.
func TestALineIsNotHeldBack(t *testing.T) {
	r, w := io.Pipe()
	next := make(chan int)
	go func() {
		for n := range next {
			fmt.Fprintln(w, n)
		}
		_ = w.Close()
	}()
	next <- 0
	want := 0
	err := Each("f", r, numbers, func(n *int) error {
		if *n != want {
			t.Errorf("got %d, want %d", *n, want)
		}
		if want++; want == 5 {
			close(next)
			return nil
		}
		next <- want
		return nil
	})
	if err != nil || want != 5 {
		t.Errorf("%d lines, %v", want, err)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	long := strings.Repeat("1", mostLine+1)
	broken := errors.New("broken")
	for _, c := range []struct {
		name, want string
		lines      int
		r          io.Reader
	}{
		{"a bad line", `f:4: strconv.Atoi: parsing "x"`, 2, strings.NewReader("1\n\n2\nx\n3\ny\n")},
		{"a long line", "f:3: the line is longer than 16 MB", 1, strings.NewReader("1\n\n" + long)},
		{"a fault in reading", "f:2: broken", 1, io.MultiReader(strings.NewReader("1\n2"), iotest.ErrReader(broken))},
		{"cut off", "f:1: unexpected EOF", 0, iotest.ErrReader(io.ErrUnexpectedEOF)},
	} {
		got, err := collect(c.r)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || len(got) != c.lines {
			t.Errorf("%s: %d lines, %v; want %d, %s", c.name, len(got), err, c.lines, c.want)
		}
	}
	stop := errors.New("enough")
	n := 0
	err := Each("f", io.NopCloser(strings.NewReader(strings.Repeat("1\n", 1<<20))), numbers, func(*int) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	})
	if err != stop || n != 3 {
		t.Errorf("%d lines, %v", n, err)
	}
}

// What ends within its last line, or within what it is packed by, is
// io.ErrUnexpectedEOF; what is wrong elsewhere is not.
func TestWhatIsCutOffIsToldApart(t *testing.T) {
	objects := func() func([]byte) (int, error) {
		return func(line []byte) (int, error) {
			var o struct{ N int }
			err := json.Unmarshal(line, &o)
			return o.N, err
		}
	}
	for _, c := range []struct {
		name  string
		r     io.Reader
		lines int
		cut   bool
	}{
		{"within the last line", strings.NewReader("{\"n\":1}\n{\"n\":2}\n{\"n\""), 2, true},
		{"within the packing", io.MultiReader(strings.NewReader("{\"n\":1}\n{\"n\""), iotest.ErrReader(io.ErrUnexpectedEOF)), 1, true},
		{"within a line that others follow", strings.NewReader("{\"n\":1}\n{\"n\"\n{\"n\":3}"), 1, false},
		{"a last line of another kind", strings.NewReader("{\"n\":1}\nnothing"), 1, false},
		{"within the only line", strings.NewReader("{\"n\""), 0, false},
	} {
		var got []int
		err := Each("f", io.NopCloser(c.r), objects, func(n *int) error { got = append(got, *n); return nil })
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) != c.cut || len(got) != c.lines {
			t.Errorf("%s: %d lines, %v", c.name, len(got), err)
		}
	}
}
