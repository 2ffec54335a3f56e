package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options are what a Plan depends on besides the manifests.
type Options struct {
	IPv6 bool // the machine has IPv6
	// Created is when pods are said to have been created, RFC 3339.
	Created string
}

// Result is a Plan and the files of the lab's directory of manifests: the
// ones given, with what a cluster would have added, and those for the objects
// that a cluster's controllers would have made.
type Result struct {
	Plan  Plan
	Files []File
}

// builder holds the state of one Build.
type builder struct {
	opts     Options
	files    []File
	docs     []*document
	edits    [][]edit // by file
	podPools []*pool
	svcPools []*pool
	ports    map[uint16]bool // node ports in use
	pods     []madePod
	out      Plan
	faults   []error
}

// madePod is a Pod with what its manifest says about it.
type madePod struct {
	Pod
	owner *owner
	hash  string // of the ReplicaSet between a Deployment and the pod
}

// Build plans a lab for manifests. The error names every fault found, with
// its file and line.
func Build(files []File, opts Options) (*Result, error) {
	files = append([]File{{Name: "cluster/system.yaml", Given: "the lab's own system.yaml", Data: []byte(systemManifest)}}, files...)
	docs, err := read(files)
	if err != nil {
		return nil, err
	}
	b := &builder{opts: opts, files: files, docs: docs, edits: make([][]edit, len(files)), ports: map[uint16]bool{}}
	for _, v6 := range families(opts.IPv6) {
		b.podPools = append(b.podPools, newPool("pod", PodCIDR(v6), 2))
		b.svcPools = append(b.svcPools, newPool("Service", ServiceCIDR(v6), 20, dnsAddrs[index(v6)]))
		b.out.DNS = append(b.out.DNS, dnsAddrs[index(v6)])
		b.out.Outside.Addrs = append(b.out.Outside.Addrs, outsideAddrs[index(v6)])
		b.out.Node.Addrs = append(b.out.Node.Addrs, nodeAddrs[index(v6)])
	}
	b.out.Node.Name = NodeName
	b.checkNames()
	b.makePods()
	b.makeServices()
	if err := errors.Join(b.faults...); err != nil {
		return nil, err
	}
	generated, err := b.generate()
	if err != nil {
		return nil, err
	}
	for i := range b.files {
		b.files[i].Data = apply(b.files[i].Data, b.edits[i])
	}
	b.out.Pods = make([]Pod, len(b.pods))
	for i := range b.pods {
		b.out.Pods[i] = b.pods[i].Pod
	}
	return &Result{Plan: b.out, Files: append(b.files, generated...)}, nil
}

// fault notes something wrong with a document.
func (b *builder) fault(d *document, format string, args ...any) {
	b.faults = append(b.faults, fmt.Errorf("%s: %s %s: %w", d.where(b.files), d.kind, d.meta.Name, fmt.Errorf(format, args...)))
}

// checkNames finds resources that are given twice.
func (b *builder) checkNames() {
	seen := map[string]*document{}
	for _, d := range b.docs {
		group, _, _ := strings.Cut(d.api, "/") // there are two kinds NetworkPolicy
		id := group + " " + d.kind + " " + d.namespace() + "/" + d.meta.Name
		if first := seen[id]; first != nil {
			b.fault(d, "given before, at %s", first.where(b.files))
			continue
		}
		seen[id] = d
	}
}

// makePods turns workloads into pods with addresses.
func (b *builder) makePods() {
	for _, d := range b.docs {
		o, err := workload(d)
		switch {
		case err != nil:
			b.fault(d, "%w", err)
		case d.kind == "Job" || d.kind == "CronJob":
			b.out.Notes = append(b.out.Notes, fmt.Sprintf("%s %s/%s: the lab runs no jobs", d.kind, d.namespace(), d.meta.Name))
		case o != nil && o.spec.HostNetwork:
			b.out.Notes = append(b.out.Notes, fmt.Sprintf("%s %s/%s: the lab runs no pods on the host's network", d.kind, d.namespace(), d.meta.Name))
		case o != nil:
			b.expand(o)
		}
	}
	slices.SortFunc(b.pods, func(x, y madePod) int { return strings.Compare(x.ID(), y.ID()) })
	for i := range b.pods {
		p := &b.pods[i]
		for _, pool := range b.podPools {
			addr, err := pool.get()
			if err != nil {
				b.fault(p.owner.doc, "%w", err)
				return
			}
			p.Addrs = append(p.Addrs, addr)
		}
		if p.owner.kind == "Pod" {
			b.editPod(p)
		}
	}
}

// expand makes the pods of one workload, without addresses.
func (b *builder) expand(o *owner) {
	d := o.doc
	targets, err := ParseTargets(o.notes[AnnotationConnect])
	if err != nil {
		b.fault(d, "annotation %s: %w", AnnotationConnect, err)
	}
	every, err := interval(o.notes[AnnotationEvery])
	if err != nil {
		b.fault(d, "annotation %s: %w", AnnotationEvery, err)
	}
	role := o.notes[AnnotationRole]
	if role != "" && role != RoleDNS {
		b.fault(d, "annotation %s: %q is not a role; the only one is %q", AnnotationRole, role, RoleDNS)
	}
	ports, left := o.ports()
	if len(left) > 0 {
		b.out.Notes = append(b.out.Notes, fmt.Sprintf("%s %s/%s: the lab's actors speak TCP and UDP only; nobody listens on %s",
			o.kind, d.namespace(), d.meta.Name, strings.Join(left, ", ")))
	}
	for i := range o.replicas {
		p := madePod{owner: o, hash: suffix(d.namespace()+"/"+d.meta.Name, 9)}
		p.Pod = Pod{
			Namespace: d.namespace(), Name: podName(o, p.hash, i), Workload: Workload{Kind: o.kind, Name: d.meta.Name},
			Ports: ports, Targets: targets, Every: every, Role: role,
		}
		p.Interface = interfaceName(p.ID())
		b.pods = append(b.pods, p)
	}
}

// podName names a pod as the controllers of its kind do.
func podName(o *owner, hash string, i int) string {
	name := o.doc.meta.Name
	random := suffix(o.doc.namespace()+"/"+name+"#"+strconv.Itoa(i), 5)
	switch o.kind {
	case "Pod":
		return name
	case "StatefulSet":
		return name + "-" + strconv.Itoa(i)
	case "Deployment":
		return name + "-" + hash + "-" + random
	}
	return name + "-" + random
}

func interval(s string) (time.Duration, error) {
	if s == "" {
		return DefaultEvery, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 10*time.Millisecond || d > time.Hour {
		return 0, fmt.Errorf("%q is not an interval from 10ms to 1h, such as 500ms or 2s", s)
	}
	return d, nil
}

// editPod adds to a bare Pod's document what a scheduler and a kubelet add.
func (b *builder) editPod(p *madePod) {
	d := p.owner.doc
	status := fmt.Sprintf("status: {phase: Running, podIP: %q, podIPs: [%s]}", p.Addrs[0], ipObjects(p.Addrs))
	b.addKey(d, d.root, status)
	b.addKey(d, child(d.root, "spec"), "nodeName: "+NodeName)
}

func (b *builder) addKey(d *document, m *yamlNode, text string) {
	e, err := addKey(m, text)
	if err != nil {
		b.fault(d, "%w", err)
		return
	}
	b.edits[d.file] = append(b.edits[d.file], e)
}

func ipObjects(addrs []netip.Addr) string {
	parts := make([]string, len(addrs))
	for i, a := range addrs {
		parts[i] = fmt.Sprintf("{ip: %q}", a)
	}
	return strings.Join(parts, ", ")
}
