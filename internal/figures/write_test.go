package figures

import (
	"bufio"
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
	"github.com/netpol-project/netpol/pkg/flow/recording"
	"github.com/netpol-project/netpol/pkg/policy"
)

// write writes n records of a world to a file, of the kind that its name tells.
func (w *world) write(path string, n int) error {
	kind, _, _ := strings.Cut(filepath.Base(path), ".")
	if kind == "recording" {
		return w.recording(path, n)
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	var out io.WriteCloser = file
	if filepath.Ext(path) == ".zst" {
		if out, err = zstd.NewWriter(file); err != nil {
			return err
		}
	}
	buf := bufio.NewWriterSize(out, 1<<20)
	line := calicoLine
	if kind == "hubble" {
		line = hubbleLine
	}
	texts := map[*workload]string{nil: ""}
	for _, wl := range w.workloads {
		texts[wl] = labelTexts(wl.labels, map[string]string{"hubble": "k8s:"}[kind])
	}
	err = w.each(n, func(s *seen) error {
		_, err := buf.Write(line(buf.AvailableBuffer(), s, texts))
		return err
	})
	err = errors.Join(err, buf.Flush())
	if out != file {
		err = errors.Join(err, out.Close())
	}
	return errors.Join(err, file.Close())
}

// recording writes what netpol's agents tell.
func (w *world) recording(path string, n int) error {
	out, err := recording.Create(path, recording.Header{Created: start}.Covered(flow.Coverage{From: start, To: start.Add(span)}))
	if err != nil {
		return err
	}
	if err := out.Objects(recording.Objects(&w.snap)); err != nil {
		return err
	}
	open := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	staged := policy.Hit{Tier: "default", Policy: policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "default-deny"}, Rule: policy.EndOfTier, Action: policy.Deny}
	err = w.each(n, func(s *seen) error {
		f := flow.Flow{
			Key: flow.Key{
				Source: peer(s.source, s.outside), Destination: peer(s.destination, s.outside),
				Protocol: s.protocol, Port: s.link.port, Direction: s.direction, Enforced: open, Pending: staged,
			},
			FirstSeen: s.first, LastSeen: s.last, Connections: s.connections, Completed: s.connections - 1, Live: 1,
			PacketsIn: s.connections * 7, PacketsOut: s.connections * 6, BytesIn: s.connections * 1733, BytesOut: s.connections * 911,
		}
		if s.source != nil {
			f.SourceLabels = s.source.labels
		}
		if s.destination != nil {
			f.DestinationLabels = s.destination.labels
			if s.direction == policy.Egress {
				f.ServiceNamespace, f.ServiceName, f.ServicePortName = s.destination.Namespace, s.destination.Name, "http"
			}
		}
		return out.Flow(&f)
	})
	if err != nil {
		return err
	}
	return out.Close(flow.Coverage{From: start, To: start.Add(span)})
}

// labelTexts are labels as a JSON list of texts, each with a prefix.
func labelTexts(labels map[string]string, prefix string) string {
	var out []string
	for _, k := range []string{"app.kubernetes.io/name", "app.kubernetes.io/part-of", "app.kubernetes.io/version", "pod-template-hash"} {
		out = append(out, prefix+k+"="+labels[k])
	}
	text, _ := json.Marshal(out) // texts can't fail
	return string(text)
}

// calicoLine is a flow log, with the traces that Calico 3.31 and later write.
func calicoLine(b []byte, s *seen, labels map[*workload]string) []byte {
	end := func(b []byte, prefix string, w *workload) []byte {
		if w == nil {
			return fmt.Appendf(b, `"%s_ip":"%s","%s_name":"-","%s_name_aggr":"pub","%s_namespace":"-","%s_port":null,"%s_type":"net","%s_labels":null,`,
				prefix, s.outside, prefix, prefix, prefix, prefix, prefix, prefix)
		}
		return fmt.Appendf(b, `"%s_ip":null,"%s_name":"-","%s_name_aggr":"%s-5d8f9c7b6d-*","%s_namespace":"%s","%s_type":"wep","%s_labels":{"labels":%s},`,
			prefix, prefix, prefix, w.Name, prefix, w.Namespace, prefix, prefix, labels[w])
	}
	b = fmt.Appendf(b, `{"start_time":%d,"end_time":%d,`, s.first.Unix(), s.first.Unix()+300)
	b = end(end(b, "source", s.source), "dest", s.destination)
	reporter, proto, service := "dst", "tcp", `"dest_service_namespace":"-","dest_service_name":"-","dest_service_port":"-","dest_service_port_name":"-"`
	if s.direction == policy.Egress {
		reporter = "src"
		if s.destination != nil {
			service = fmt.Sprintf(`"dest_service_namespace":"%s","dest_service_name":"%s","dest_service_port":80,"dest_service_port_name":"http"`, s.destination.Namespace, s.destination.Name)
		}
	}
	if s.protocol == policy.UDP {
		proto = "udp"
	}
	namespace := "-"
	if s.source != nil {
		namespace = s.source.Namespace
	}
	b = fmt.Appendf(b, `"dest_port":%d,"dest_port_num":%d,%s,"dest_domains":null,"proto":"%s","action":"allow","reporter":"%s",`, s.link.port, s.link.port, service, proto, reporter)
	b = fmt.Appendf(b, `"policies":{"all_policies":["0|__PROFILE__|__PROFILE__.kns.%s|allow|0"],"enforced_policies":["0|__PROFILE__|__PROFILE__.kns.%s|allow|0"],"pending_policies":["0|default|default.staged:default-deny|deny|-1"]},`, namespace, namespace)
	return fmt.Appendf(b, `"bytes_in":%d,"bytes_out":%d,"num_flows":%d,"num_flows_started":%d,"num_flows_completed":%d,"packets_in":%d,"packets_out":%d,"http_requests_allowed_in":0,"http_requests_denied_in":0,"original_source_ips":null,"num_original_source_ips":0,"host":"node-%d"}`+"\n",
		s.connections*1733, s.connections*911, s.connections, s.connections, s.connections-1, s.connections*7, s.connections*6, s.port%nodes)
}

// hubbleLine is the event of the packet that opens a connection.
func hubbleLine(b []byte, s *seen, labels map[*workload]string) []byte {
	end := func(b []byte, name string, w *workload, pod *policy.Endpoint) []byte {
		if w == nil {
			return fmt.Appendf(b, `"%s":{"identity":2,"labels":["reserved:world"]},`, name)
		}
		return fmt.Appendf(b, `"%s":{"ID":%d,"identity":%d,"cluster_name":"default","namespace":"%s","labels":["k8s:io.cilium.k8s.namespace.labels.kubernetes.io/metadata.name=%s","k8s:io.cilium.k8s.policy.cluster=default","k8s:io.cilium.k8s.policy.serviceaccount=default","k8s:io.kubernetes.pod.namespace=%s",%s,"pod_name":"%s","workloads":[{"name":"%s","kind":"Deployment"}]},`,
			name, pod.Addrs[0].As4()[3], 1000+int(pod.Addrs[0].As4()[2]), w.Namespace, w.Namespace, w.Namespace, labels[w][1:], pod.Name, w.Name)
	}
	address := func(p *policy.Endpoint) string {
		if p == nil {
			return s.outside.String()
		}
		return p.Addrs[0].String()
	}
	at := s.first.Format(time.RFC3339Nano)
	l4, direction := fmt.Sprintf(`{"TCP":{"source_port":%d,"destination_port":%d,"flags":{"SYN":true}}}`, s.port, s.link.port), "EGRESS"
	if s.protocol == policy.UDP {
		l4 = fmt.Sprintf(`{"UDP":{"source_port":%d,"destination_port":%d}}`, s.port, s.link.port)
	}
	if s.direction == policy.Ingress {
		direction = "INGRESS"
	}
	b = fmt.Appendf(b, `{"flow":{"time":"%s","uuid":"%08x-5b1c-4c3e-9a4e-2f1f6f8b%04x","verdict":"FORWARDED","ethernet":{"source":"0a:58:0a:01:00:%02x","destination":"0a:58:0a:01:01:%02x"},"IP":{"source":"%s","destination":"%s","ipVersion":"IPv4"},"l4":%s,`,
		at, s.first.UnixNano()&0xffffffff, s.port, s.port&255, s.port>>8, address(s.from), address(s.to), l4)
	b = end(end(b, "source", s.source, s.from), "destination", s.destination, s.to)
	b = fmt.Appendf(b, `"Type":"L3_L4","node_name":"default/node-%d","node_labels":["beta.kubernetes.io/arch=amd64","kubernetes.io/hostname=node-%d"],"event_type":{"type":4,"sub_type":3},`, s.port%nodes, s.port%nodes)
	if s.destination != nil && s.direction == policy.Egress {
		b = fmt.Appendf(b, `"destination_service":{"name":"%s","namespace":"%s"},`, s.destination.Name, s.destination.Namespace)
	}
	return fmt.Appendf(b, `"traffic_direction":"%s","trace_observation_point":"TO_STACK","trace_reason":"NEW","is_reply":false,"Summary":"TCP Flags: SYN"},"node_name":"default/node-%d","time":"%s"}`+"\n", direction, s.port%nodes, at)
}
