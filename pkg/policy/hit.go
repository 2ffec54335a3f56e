package policy

// Hit is one step of the walk through the policies: a rule that matched, or
// the end of a tier. It is comparable.
type Hit struct {
	Tier   string
	Policy Key // zero where no policy applied
	// Rule is the index of the rule in its direction's list, or one of the
	// special values below.
	Rule   int
	Action Action
}

// Special values of Hit.Rule.
const (
	// EndOfTier: the tier's default action; Policy is the last one of the
	// tier that selected the endpoint in this direction (S8).
	EndOfTier = -1
	// NoPolicy: no tier decided, so the endpoint is allowed (S9).
	NoPolicy = -2
	// Closed: refused before any policy was asked, because the packet was not
	// from or to an address that is known (S31); Policy.Name says why.
	Closed = -3
	// RuleUnknown: a rule of Policy, and who told of it did not say which.
	RuleUnknown = -4
)
