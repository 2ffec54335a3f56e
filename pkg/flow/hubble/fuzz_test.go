package hubble

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func fuzzLines(add func(string)) {
	add(line(0))
	add(line(1, `"verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED","destination_names":["a.example"],"is_reply":true`))
	add(line(2, `"l4":{"UDP":{"source_port":1,"destination_port":53}},"source":{"identity":2,"labels":["reserved:world"]}`))
	add(line(3, `"l4":{"ICMPv4":{"type":8}},"l7":{"type":"REQUEST"}`))
	add(`{"lost_events":{"num_events_lost":"3"}}`)
	add(`{"verdict":"FORWARDED","time":"2026-03-01T12:00:00Z"}`)
	add(`{"flow":{"time":"2026-03-01T12:00:00Z","verdict":null,"l4":{"TCP":{"source_port":65536}},"IP":null,"source":null}}`)
	add(`{"flow":{},"flow":{}}`)
}

// oddLines are those that hardly anybody writes.
func oddLines(add func(string)) {
	add(line(4, `"l4":{"VRRP":{"type":1}}`, `"source":{"namespace":"a","labels":["k8s:a=\u001b[31m","k8s:a=b"],"workloads":[{"name":""}]}`))
	add(line(5, `"l4":{"TCP":{"source_port":1,"destination_port":2,"flags":{"SYN":true}},"UDP":{"destination_port":3}}`, `"IP":{"source":"::ffff:10.0.0.1","destination":"fe80::1%eth0"}`))
	add(line(6, `"l4":{"TCP":{"source_port":-1,"destination_port":1e2}}`, `"is_reply":null`, `"l7":null`, `"destination_names":null`))
	add(strings.ReplaceAll(line(7), "vote", "vo\xffte"))
	add(`{"flow":` + line(8) + `,"node_name":null,"time":"9999-12-31T23:59:59Z"}`)
	add(`{"flow":{"time":"0001-01-01T00:00:00Z","Time":"2026-03-01T12:00:00Z","source":{"namespace":"a","Namespace":"b"}},"time":"2026-03-01T12:00:00Z"}`)
}

// agree fails if the decoder of our own reads a line that encoding/json reads
// otherwise.
func agree(t *testing.T, d *decoder, data []byte) bool {
	t.Helper()
	got, ok := d.event(data)
	if !ok {
		return false // encoding/json decides
	}
	want, err := parseEvent(data)
	if err != nil {
		t.Fatalf("%s\nencoding/json: %v", data, err)
	}
	for _, e := range []*endpoint{&got.Flow.Source, &got.Flow.Destination} {
		if own := e.own; own != nil {
			if e.own = nil; !reflect.DeepEqual(own, e.labels()) {
				t.Fatalf("%s\nlabels %v", data, own)
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		mine, _ := json.Marshal(got)
		other, _ := json.Marshal(want)
		t.Fatalf("%s\n got %s\nwant %s", data, mine, other)
	}
	return true
}

// FuzzEvent holds the decoder of our own against encoding/json.
func FuzzEvent(f *testing.F) {
	fuzzLines(func(s string) { f.Add([]byte(s)) })
	oddLines(func(s string) { f.Add([]byte(s)) })
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 {
			agree(t, makeDecoder(), data)
		}
	})
}

func TestTheDecoderOfOurOwnReadsWhatHubbleWrites(t *testing.T) {
	d := makeDecoder()
	oddLines(func(s string) { agree(t, d, []byte(s)) })
	fuzzLines(func(s string) {
		read := agree(t, d, []byte(s))
		if plain := strings.HasPrefix(s, `{"flow":{"IP"`) && !strings.Contains(s, "ICMP"); plain && !read {
			t.Errorf("not read: %s", s)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	data := []byte(line(0))
	b.Run("own", func(b *testing.B) {
		d := makeDecoder()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, ok := d.event(data); !ok {
				b.Fatal("not read")
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := parseEvent(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
