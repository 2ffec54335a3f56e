package policy

// hostFields reads what is about host endpoints (S30).
func (r *policyReader) hostFields() {
	p := r.pol
	p.DoNotTrack, p.PreDNAT = isTrue(r.spec.get("doNotTrack")), isTrue(r.spec.get("preDNAT"))
	p.ApplyOnForward = isTrue(r.spec.get("applyOnForward"))
	if p.DoNotTrack && p.PreDNAT {
		r.fault(r.spec.get("preDNAT"), Fault{Code: CodeExclusive, Reason: "a policy has preDNAT or doNotTrack, not both", Fix: "make two policies"})
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"doNotTrack", p.DoNotTrack}, {"preDNAT", p.PreDNAT}} {
		switch n := r.spec.get(f.name); {
		case !f.set:
		case !p.ApplyOnForward:
			r.fault(n, Fault{Code: CodeRequired, Reason: f.name + " needs applyOnForward", Fix: "add applyOnForward: true"})
		default:
			r.fault(n, Fault{Code: CodeUnsupported, Unsupported: true, Warning: true,
				Reason: "the policy is for host endpoints only, which netpol does not enforce"})
		}
	}
	if !p.PreDNAT {
		return
	}
	if n := r.spec.get("egress"); !n.empty() {
		r.fault(n, Fault{Code: CodeNotHere, Value: "", Reason: "a policy with preDNAT has ingress rules only", Fix: "remove egress"})
	}
	for i := range items(r.spec.get("types")) {
		if t := &r.spec.get("types").kids[i].node; t.text == "Egress" {
			r.fault(t, Fault{Code: CodeNotHere, Reason: "a policy with preDNAT is for ingress only", Fix: "remove the type"})
		}
	}
}
