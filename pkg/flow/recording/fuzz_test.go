package recording

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// agree fails if splitFast reads a line that encoding/json reads otherwise.
func agree(t *testing.T, data []byte) {
	t.Helper()
	subject, got, ok := splitFast(data)
	if !ok || !json.Valid(subject) {
		return // encoding/json decides
	}
	var want line
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("%s\nencoding/json: %v", data, err)
	}
	if !reflect.DeepEqual(got, want.counts) {
		t.Errorf("%s\n got %+v\nwant %+v", data, got, want.counts)
	}
	if !bytes.Equal(subject, want.Flow) || want.Object != nil || want.End != nil {
		t.Errorf("%s\n got %s\nwant %s", data, subject, want.Flow)
	}
}

func fuzzLines(add func([]byte)) {
	for _, f := range testFlows() {
		data, err := json.Marshal(newFlowLine(&f))
		if err != nil {
			panic(err)
		}
		add(data)
	}
	const counts = `,"connections":1,"completed":0,"live":0,"packetsIn":0,"packetsOut":0,"bytesIn":0,"bytesOut":0}`
	for _, s := range []string{
		`{"flow":{},"firstSeen":"2026-02-29T12:00:00Z","lastSeen":"2026-03-01T12:00:00Z"` + counts,
		`{"flow":{},"firstSeen":"2024-02-29T23:59:60Z","lastSeen":"2026-03-01T12:00:00.1234567890Z"` + counts,
		`{"flow":{"a":"},\"firstSeen\":\""},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"2026-04-31T12:00:00Z"` + counts,
		`{"flow":{"a":{},"firstSeen":"x"},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"0000-04-30T12:00:00.000Z"` + counts,
		`{"flow":{},"object":{},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"2026-04-30T12:00:00Z"` + counts,
		`{"flow":{},"flow":{"a":{}},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"2026-04-30T12:00:00Z"` + counts,
		`{"flow":{"a":{"b":{"c":[{}]}},"firstSeen":"2026-03-31T12:00:00Z"},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"9999-12-31T23:59:59.999999999Z"` + counts,
		`{"flow":{},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"2026-04-30T12:00:00Z","connections":999999999999999999,"completed":00,"live":-0,"packetsIn":1e3,"packetsOut":9223372036854775808,"bytesIn":0,"bytesOut":0}`,
		"{\"flow\":{\"a\":\"\xff\\u0000\"},\"firstSeen\":\"2026-03-31T12:00:00.5Z\",\"lastSeen\":\"2026-04-30T12:00:00Z\"" + counts,
		`{"flow":{},"end":{"a":{}},"firstSeen":"2026-03-31T12:00:00.5Z","lastSeen":"2026-04-30T12:00:00Z"` + counts,
	} {
		add([]byte(s))
	}
}

// FuzzLine holds the decoder of our own against encoding/json.
func FuzzLine(f *testing.F) {
	fuzzLines(func(b []byte) { f.Add(b) })
	f.Fuzz(agree)
}

func TestTheDecoderOfOurOwnReadsWhatAWriterWrites(t *testing.T) {
	fuzzLines(func(b []byte) { agree(t, b) })
	for _, f := range testFlows() {
		for _, fraction := range []time.Duration{0, 1, 10, 120 * time.Millisecond, 999999999} {
			f.LastSeen = testTime.Truncate(time.Second).Add(fraction)
			data, err := json.Marshal(newFlowLine(&f))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, ok := splitFast(data); !ok {
				t.Errorf("not read: %s", data)
			}
			agree(t, data)
		}
	}
}
