package connectivity_test

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestParseTarget(t *testing.T) {
	spec := func(proto policy.Protocol, port uint16) connectivity.PortSpec {
		return connectivity.PortSpec{Protocol: proto, Port: port, Given: true}
	}
	for in, want := range map[string]connectivity.Target{
		"vote/db":                {Name: "vote/db"},
		"db":                     {Name: "db"},
		"vote/db:5432":           {Name: "vote/db", PortSpec: spec(0, 5432)},
		"db:5432":                {Name: "db", PortSpec: spec(0, 5432)},
		"vote/db:5432/tcp":       {Name: "vote/db", PortSpec: spec(policy.TCP, 5432)},
		"vote/db/TCP:5432":       {Name: "vote/db", PortSpec: spec(policy.TCP, 5432)},
		"vote/db:sql":            {Name: "vote/db", PortSpec: connectivity.PortSpec{Given: true, PortName: "sql"}},
		"vote/db/sctp":           {Name: "vote/db", PortSpec: connectivity.PortSpec{Protocol: policy.SCTP}},
		"vote/db/47":             {Name: "vote/db", PortSpec: connectivity.PortSpec{Protocol: 47}},
		"vote/db/icmp":           {Name: "vote/db", PortSpec: connectivity.PortSpec{Protocol: policy.ICMP}},
		"vote/db/icmp:3":         {Name: "vote/db", PortSpec: spec(policy.ICMP, 0x0300)},
		"vote/db/icmp:3:1":       {Name: "vote/db", PortSpec: spec(policy.ICMP, 0x0301)},
		"vote/db/ICMPv6:0:0":     {Name: "vote/db", PortSpec: spec(policy.ICMPv6, 0)},
		"vote/db:8/icmp":         {Name: "vote/db", PortSpec: spec(policy.ICMP, 0x0800)},
		"10.0.0.1":               {Name: "10.0.0.1"},
		"10.0.0.1:53/udp":        {Name: "10.0.0.1", PortSpec: spec(policy.UDP, 53)},
		"10.0.0.1/47":            {Name: "10.0.0.1", PortSpec: connectivity.PortSpec{Protocol: 47}},
		"2001:db8::1":            {Name: "2001:db8::1"},
		"[2001:db8::1]":          {Name: "2001:db8::1"},
		"[2001:db8::1]:80":       {Name: "2001:db8::1", PortSpec: spec(0, 80)},
		"2001:db8::1/icmpv6":     {Name: "2001:db8::1", PortSpec: connectivity.PortSpec{Protocol: policy.ICMPv6}},
		"set/corp":               {Name: "set/corp"},
		"set/corp:443":           {Name: "set/corp", PortSpec: spec(0, 443)},
		"set/corp/udp":           {Name: "set/corp", PortSpec: connectivity.PortSpec{Protocol: policy.UDP}},
		"set/ns/corp":            {Name: "set/ns/corp"},
		"set/ns/corp/udp:53":     {Name: "set/ns/corp", PortSpec: spec(policy.UDP, 53)},
		"svc/vote/db":            {Name: "svc/vote/db"},
		"svc/vote/db:5432/tcp":   {Name: "svc/vote/db", PortSpec: spec(policy.TCP, 5432)},
		"host/n1:22":             {Name: "host/n1", PortSpec: spec(0, 22)},
		"internet/udp:53":        {Name: "internet", PortSpec: spec(policy.UDP, 53)},
		"internet":               {Name: "internet"},
		"vote/db:7/udplite":      {Name: "vote/db", PortSpec: spec(policy.UDPLite, 7)},
		"kube-system/dns:53/UDP": {Name: "kube-system/dns", PortSpec: spec(policy.UDP, 53)},
	} {
		got, err := connectivity.ParseTarget(in)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, says := range map[string]string{
		"":                  "a name is missing",
		":80":               "a name is missing",
		"vote/db:":          "expected :PORT",
		"vote/db:80/":       "expected :PORT",
		"vote/db:0":         "from 1 to 65535",
		"vote/db:65536":     "from 1 to 65535",
		"vote/db:Sql":       "name of a container's port",
		"vote/db:80/gre":    "expected TCP",
		"vote/db:80/47":     "rules can't name ports of 47",
		"vote/db/icmp:":     "expected /PROTOCOL",
		"vote/db/icmp:256":  "ICMP type",
		"vote/db/icmp:8:-1": "ICMP code",
		"vote/db/0":         "from 1 to 255",
		"10.0.0.0/8":        "is a net",
		"[::1]80":           "expected :PORT",
	} {
		if got, err := connectivity.ParseTarget(in); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: got %+v, %v, want an error with %q", in, got, err, says)
		}
	}
}

func TestParsePort(t *testing.T) {
	for in, want := range map[string]connectivity.PortSpec{
		"5432":     {Given: true, Port: 5432},
		"53/udp":   {Given: true, Port: 53, Protocol: policy.UDP},
		"udp:53":   {Given: true, Port: 53, Protocol: policy.UDP},
		"UDP/53":   {Given: true, Port: 53, Protocol: policy.UDP},
		"sctp":     {Protocol: policy.SCTP},
		"icmp:8:0": {Given: true, Port: 0x0800, Protocol: policy.ICMP},
		"ICMP/8":   {Given: true, Port: 0x0800, Protocol: policy.ICMP},
		"sql":      {Given: true, PortName: "sql"},
		"sql/tcp":  {Given: true, PortName: "sql", Protocol: policy.TCP},
	} {
		if got, err := connectivity.ParsePort(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "/", "0", "udp:", "80:90", "tcp:70000"} {
		if got, err := connectivity.ParsePort(in); err == nil {
			t.Errorf("%q: got %+v, want an error", in, got)
		}
	}
}

func TestResolve(t *testing.T) {
	declared := []policy.ContainerPort{
		{Name: "dns", Protocol: policy.UDP, Port: 53}, {Name: "dns-tcp", Protocol: policy.TCP, Port: 53}, {Name: "metrics", Protocol: policy.UDP, Port: 9153},
	}
	for in, want := range map[string]string{
		"53":       "TCP/53", // declared for both: TCP unless it is said
		"53/udp":   "UDP/53",
		"9153":     "UDP/9153", // declared for UDP only
		"9154":     "TCP/9154",
		"dns":      "UDP/53",
		"dns-tcp":  "TCP/53",
		"tcp":      "TCP/53", // the only one
		"icmp":     "ICMP/8",
		"icmpv6":   "ICMPv6/128",
		"icmp:3:1": "ICMP/3:1",
		"udplite":  "UDPLite",
	} {
		spec, err := connectivity.ParsePort(in)
		if err != nil {
			t.Fatal(err)
		}
		proto, port, err := spec.Resolve(declared)
		if got := connectivity.PortText(proto, port); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for in, says := range map[string]string{
		"udp": "which port? it declares UDP/53 (dns), UDP/9153 (metrics)", "sql": `no port is called "sql"; it declares UDP/53 (dns)`, "sctp": "which SCTP port?",
	} {
		spec, err := connectivity.ParsePort(in)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := spec.Resolve(declared); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", in, err, says)
		}
	}
}

func TestSpaceText(t *testing.T) {
	tcp := func(r ...policy.PortRange) connectivity.ProtocolPorts {
		return connectivity.ProtocolPorts{Protocol: policy.TCP, Ranges: r}
	}
	for want, s := range map[string]connectivity.Space{
		"any":                         connectivity.Everything(),
		"none":                        {},
		"TCP":                         {Protocols: []connectivity.ProtocolPorts{tcp(policy.PortRange{Min: 0, Max: 65535})}},
		"TCP 1-5431,5433-65535":       {Protocols: []connectivity.ProtocolPorts{tcp(policy.PortRange{Min: 0, Max: 5431}, policy.PortRange{Min: 5433, Max: 65535})}},
		"any but TCP 5432":            {Others: true, Protocols: []connectivity.ProtocolPorts{tcp(policy.PortRange{Min: 0, Max: 5431}, policy.PortRange{Min: 5433, Max: 65535})}},
		"any but TCP":                 {Others: true, Protocols: []connectivity.ProtocolPorts{tcp()}},
		"ICMP 8; TCP 80":              {Protocols: []connectivity.ProtocolPorts{{Protocol: policy.ICMP, Ranges: []policy.PortRange{{Min: 0x0800, Max: 0x08ff}}}, tcp(policy.PortRange{Min: 80, Max: 80})}},
		"ICMP 3:1,8-9,10:0-11:4":      {Protocols: []connectivity.ProtocolPorts{{Protocol: policy.ICMP, Ranges: []policy.PortRange{{Min: 0x0301, Max: 0x0301}, {Min: 0x0800, Max: 0x09ff}, {Min: 0x0a00, Max: 0x0b04}}}}},
		"protocol 47":                 {Protocols: []connectivity.ProtocolPorts{{Protocol: 47, Ranges: []policy.PortRange{{Min: 0, Max: 65535}}}}},
		"any but UDPLite; ICMPv6 128": {Others: true, Protocols: []connectivity.ProtocolPorts{{Protocol: policy.UDPLite}, {Protocol: policy.ICMPv6, Ranges: []policy.PortRange{{Min: 0, Max: 0x7fff}, {Min: 0x8100, Max: 0xffff}}}}},
	} {
		if got := s.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
