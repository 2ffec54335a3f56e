package calicolog

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// FuzzHit: what is read is whole, and nothing makes it panic.
func FuzzHit(f *testing.F) {
	for _, s := range []string{
		"0|default|vote/default.staged:db|deny|0", "0|default|snp:vote/db|deny|0", "1|__PROFILE__|pro:kns.vote|allow|0",
		"0|default|vote/staged:knp.default.db|pass|-1", "3|*|*|deny|*", "0|kube-admin|kcnp:a.b|allow|-", "1|t|staged:t.x|deny",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		step, err := ParseHit(s)
		if err != nil {
			return
		}
		switch {
		case step.Index < 0 || step.Rule < policy.RuleUnknown || step.Action == 0 || step.Action == policy.Log:
			t.Errorf("%q: %+v", s, step)
		case step.Rule == policy.NoPolicy:
		case step.Policy.Name == "" || step.Tier == "" || strings.ContainsAny(step.Policy.Name, "/:|"):
			t.Errorf("%q: %+v", s, step)
		}
	})
}

// FuzzEach: every flow that is read can be listed and compared.
func FuzzEach(f *testing.F) {
	f.Add(line(""))
	f.Add(line(`,"policies":{"all_policies":["0|default|vote/default.staged:db|deny|-1","1|__PROFILE__|__PROFILE__.kns.vote|allow|0"]}`))
	f.Add(`{"_source":` + line(`,"dest_type":"net","dest_ip":"192.0.2.7"`) + "}\n\n" + line(`,"action":"deny"`))
	f.Add(`{"start_time":1e3}`)
	f.Fuzz(func(t *testing.T, text string) {
		var all []flow.Flow
		err := Each("f", strings.NewReader(text), func(fl flow.Flow) error {
			all = append(all, fl)
			return nil
		})
		if err != nil && !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("the error has no line: %v", err)
		}
		for i := range all {
			fl := &all[i]
			fl.Settle()
			if fl.Live < 0 || fl.Connections < 0 || fl.FirstSeen.IsZero() || fl.Enforced.Action == 0 || fl.Pending.Action == 0 || flow.Compare(fl.Key, fl.Key) != 0 {
				t.Errorf("%+v", fl)
			}
		}
		flow.Merge(all)
	})
}

func fuzzLines(add func(string)) {
	add(line(""))
	add(line(`,"policies":{"all_policies":["0|default|vote/default.staged:db|deny|-1"],"enforced_policies":null,"pending_policies":["0|default|snp:vote/db|deny|0"]}`))
	add(line(`,"dest_domains":["a.example"],"policies":null`))
	add(line(`,"dest_port":70000`))
	add(`{"_source":` + line("") + `}`)
	add(`{"start_time":1772366400000,"end_time":"2026-03-01T12:00:00Z","num_flows":"3","dest_labels":{"labels":["a"]},"dest_service_port":80}`)
	add(`{"start_time":0,"proto":null,"packets_in":-1}`)
	add(`{"start_time":1772366700,"end_time":1772366400,"num_flows_started":9007199254740992,"num_flows":9007199254740993,"bytes_in":999999999999999999,"bytes_out":"1","packets_in":1.5}`)
	add(`{"start_time":"9999-12-31T23:59:59Z","end_time":"1900-01-01T00:00:00Z","Proto":"tcp","policies":{"all_policies":["0|default|a|allow|99999999999999999999","1|\u0000|b|pass|-"]}}`)
	add("{\"source_name\":\"a\xffb\\ud800\",\"source_labels\":{\"labels\":[\"a=\\u001b\",\"a=b\",\"=\"]},\"dest_service_port\":{\"a\":[[]]},\"dest_domains\":[null,1]}")
}

// agree fails if the decoder of our own reads a line that encoding/json reads
// otherwise.
func agree(t *testing.T, d *decoder, data []byte) bool {
	t.Helper()
	got := &record{}
	if !d.record(got, data) {
		return false // encoding/json decides
	}
	want, err := parseRecord(data)
	if err != nil {
		t.Fatalf("%s\nencoding/json: %v", data, err)
	}
	mine, myErr := got.flow()
	other, otherErr := want.flow()
	if !reflect.DeepEqual(mine, other) || fmt.Sprint(myErr) != fmt.Sprint(otherErr) {
		t.Fatalf("%s\n got %+v, %v\nwant %+v, %v", data, mine, myErr, other, otherErr)
	}
	got.SourceLabels.own, got.DestLabels.own = nil, nil
	if got.Policies != nil {
		p := *got.Policies
		p.own, got.Policies = nil, &p
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s\n got %+v\nwant %+v", data, got, want)
	}
	return true
}

// FuzzRecord holds the decoder of our own against encoding/json.
func FuzzRecord(f *testing.F) {
	fuzzLines(func(s string) { f.Add([]byte(s)) })
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 0 {
			agree(t, makeDecoder(), data)
		}
	})
}

func TestTheDecoderOfOurOwnReadsWhatCalicoWrites(t *testing.T) {
	d := makeDecoder()
	read := 0
	fuzzLines(func(s string) {
		if agree(t, d, []byte(s)) {
			read++
		}
	})
	// line ends with fields that come twice where they are given.
	if read < 3 {
		t.Errorf("%d lines are read", read)
	}
}

func BenchmarkLine(b *testing.B) {
	data := []byte(line(`,"policies":{"all_policies":["0|default|vote/default.db|allow|1"],"enforced_policies":["0|default|vote/default.db|allow|1"],"pending_policies":[]}`))
	b.Run("own", func(b *testing.B) {
		d := makeDecoder()
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if !d.record(&record{}, data) {
				b.Fatal("not read")
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := parseRecord(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
