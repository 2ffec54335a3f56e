package admission

// warnings tells, without refusing, what is right but not enforced by netpol:
// the API server sends these to whoever applies the resource.
func warnings() policy {
	p := policy{
		name:       "netpol-warnings",
		resources:  append(tieredResources(), "hostendpoints"),
		operations: []string{"CREATE", "UPDATE"},
		conditions: []condition{changed},
		action:     "Warn",
	}
	p.warn("request.resource.resource != 'hostendpoints'",
		"it is a peer in rules by its expectedIPs, but netpol enforces no policy on it")
	p.warn("!object.?spec.?doNotTrack.orValue(false) && !object.?spec.?preDNAT.orValue(false)",
		"the policy is for host endpoints only, which netpol does not enforce")
	p.warn("!"+orEmpty("object", "spec", "ingress")+".exists(r, has(r.http))",
		"HTTP is not judged where packets are, so this rule allows nothing")
	p.warn(orEmpty("object", "spec", "performanceHints")+".all(h, h == 'AssumeNeededOnEveryNode')",
		"there is no such hint; hints change no verdict")
	return p
}

func (p *policy) warn(expression, message string) {
	p.rules = append(p.rules, validation{Expression: expression, Message: message})
}
