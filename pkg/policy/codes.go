package policy

// The kinds of faults (Fault.Code). Machines tell faults apart by them, so a
// code keeps its name and meaning for good; wordings may change.
const (
	// Of a document.
	CodeSyntax      = "syntax"       // no YAML or JSON
	CodeNoResource  = "no-resource"  // apiVersion, kind or metadata is missing
	CodeUnknownKind = "unknown-kind" // there is no such kind or version
	CodeOldVersion  = "old-version"  // a form of the resource that should not be written any more (warning)
	CodeUnreadable  = "unreadable"   // a file that can't be read
	CodeEmptyFile   = "empty-file"   // a file that had resources and is empty
	CodeDuplicate   = "duplicate"    // the same field, value or resource twice
	CodeMissingTier = "missing-tier" // a policy in a tier that there is not (S13)
	CodeUnsupported = "unsupported"  // right, but netpol can't judge it

	// Of a value.
	CodeUnknownField = "unknown-field"
	CodeWrongType    = "wrong-type"
	CodeRequired     = "required"      // a field that must be given is not
	CodeUnknownValue = "unknown-value" // not one of the words that the field takes
	CodeOutOfBounds  = "out-of-bounds" // too many, too long, too large or too small
	CodeBadName      = "bad-name"
	CodeBadLabel     = "bad-label"
	CodeBadSelector  = "bad-selector" // can't be parsed (S25)
	CodeBadGlobal    = "bad-global"   // global() where it has no meaning (S16)
	CodeBadNet       = "bad-net"
	CodeUnmaskedNet  = "unmasked-net" // bits beyond its length
	CodeNetCatchAll  = "catch-all"    // a notNets that leaves nothing
	CodeBadAddress   = "bad-address"
	CodeBadPort      = "bad-port"
	CodeBadProtocol  = "bad-protocol"
	CodeBadICMP      = "bad-icmp"
	CodeBadHTTP      = "bad-http"

	// Of values that do not go together.
	CodeMixedFamilies = "mixed-families" // IPv4 and IPv6 in one rule (S23)
	CodePortProtocol  = "port-protocol"  // ports beside a protocol without ports (S22)
	CodeICMPProtocol  = "icmp-protocol"  // icmp beside another protocol (S22)
	CodeExclusive     = "exclusive"      // fields that exclude each other
	CodeNotHere       = "not-here"       // a field that has no meaning at this place
	CodeFixed         = "fixed"          // of a built-in tier (S1)
	CodeBadTrial      = "bad-trial"      // what is to be enforced again can't be (warning)
)
