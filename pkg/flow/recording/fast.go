package recording

import (
	"bytes"

	"github.com/netpol-project/netpol/pkg/flow/jsonlines"
)

// The form of a line with a flow, as a Writer writes it.
const (
	fastStart = `{"flow":`
	fastSplit = `},"firstSeen":"`
)

// longTail is more than what follows the flow of a line that a Writer wrote.
const longTail = 384

// names of counts, in the order of their lines.
var fastNames = [...]string{
	`,"connections":`, `,"completed":`, `,"live":`, `,"packetsIn":`, `,"packetsOut":`, `,"bytesIn":`, `,"bytesOut":`,
}

// split is a line, and what its bytes tell without a look into the flow.
type split struct {
	line []byte
	fast bool // it has the form of a Writer, and what follows is known
	// subject are the bytes of the flow, of the hash.
	subject []byte
	hash    hash
	counts
}

// splitter takes lines apart, and hashes flows with these seeds.
func (s seeds) splitter() func(line []byte) (split, error) {
	return func(line []byte) (split, error) {
		out := split{line: line}
		if out.subject, out.counts, out.fast = splitFast(line); out.fast {
			out.hash = s.hash(out.subject)
		}
		return out, nil
	}
}

// splitFast takes a line apart that has exactly the form which a Writer gives
// it: the bytes of the flow, which nobody has looked at yet, and the counts. ok
// is false for any other form, which says nothing of whether it is right. If the
// bytes of the flow are a JSON value, encoding/json reads the same.
func splitFast(line []byte) (subject []byte, c counts, ok bool) {
	if !bytes.HasPrefix(line, []byte(fastStart)) {
		return nil, c, false
	}
	from := max(len(fastStart), len(line)-longTail)
	i := bytes.Index(line[from:], []byte(fastSplit))
	if i < 0 {
		return nil, c, false
	}
	subject = line[len(fastStart) : from+i+1]
	rest := line[from+i+len(fastSplit):]
	if c.FirstSeen, rest, ok = jsonlines.Time(rest); !ok {
		return nil, c, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte(`,"lastSeen":"`)); !ok {
		return nil, c, false
	}
	if c.LastSeen, rest, ok = jsonlines.Time(rest); !ok {
		return nil, c, false
	}
	for i, to := range [...]*int64{&c.Connections, &c.Completed, &c.Live, &c.PacketsIn, &c.PacketsOut, &c.BytesIn, &c.BytesOut} {
		if len(rest) < len(fastNames[i]) || string(rest[:len(fastNames[i])]) != fastNames[i] {
			return nil, c, false
		}
		if *to, rest, ok = fastNumber(rest[len(fastNames[i]):]); !ok {
			return nil, c, false
		}
	}
	return subject, c, string(rest) == "}"
}

// fastNumber reads a whole number that is not negative, of at most 18 digits.
func fastNumber(b []byte) (n int64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && i < 19 && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	if i == 0 || i == 19 || i > 1 && b[0] == '0' {
		return 0, nil, false
	}
	return n, b[i:], true
}
