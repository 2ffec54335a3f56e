package calico

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Version is a version of Calico; the zero Version is not known.
type Version struct {
	Major, Minor, Patch int
	// Enterprise says that it is Calico Enterprise, which counts for itself.
	Enterprise bool
}

// ParseVersion reads v3.31.2, 3.32.0-0.dev or the tag of an image.
func ParseVersion(s string) (v Version, ok bool) {
	s = strings.TrimPrefix(s, "v")
	if i := strings.IndexAny(s, "-+"); i >= 0 {
		s = s[:i]
	}
	parts := strings.Split(s, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, false
	}
	for i, into := range []*int{&v.Major, &v.Minor, &v.Patch}[:len(parts)] {
		n, err := strconv.ParseUint(parts[i], 10, 16)
		if err != nil {
			return Version{}, false
		}
		*into = int(n)
	}
	return v, true
}

// imageVersion is the version that an image's tag tells.
func imageVersion(image string) (Version, bool) {
	image, _, _ = strings.Cut(image, "@")
	i := strings.LastIndexByte(image, ':')
	if i < 0 {
		return Version{}, false
	}
	return ParseVersion(image[i+1:])
}

// Known says that the version is known.
func (v Version) Known() bool { return v.Major > 0 }

// String is the version as Calico writes it.
func (v Version) String() string {
	if !v.Known() {
		return "of unknown version"
	}
	return fmt.Sprintf("v%d.%d.%d", v.Major, v.Minor, v.Patch)
}

func (v Version) atLeast(major, minor, patch int) bool {
	return cmp.Or(cmp.Compare(v.Major, major), cmp.Compare(v.Minor, minor), cmp.Compare(v.Patch, patch)) >= 0
}

// Naming is how policies are named in the API of a version of Calico.
type Naming int

// The namings.
const (
	// Free: a policy has any name, and spec.tier can change (since 3.32).
	Free Naming = iota
	// Prefixed: in tiers other than default, names begin with the tier's (from
	// 3.29.4). In tier default they may.
	Prefixed
	// PrefixedAll: in tier default as well (3.29.0 to 3.29.3, and Enterprise).
	PrefixedAll
	// NoTiers: there is tier default alone, and names are as they are (to 3.28).
	NoTiers
)

// Naming is how policies are named in this version. Where it is not known, names
// begin with the tier's: every version with tiers takes that.
func (v Version) Naming() Naming {
	switch {
	case !v.Known():
		return Prefixed
	case v.Enterprise:
		return PrefixedAll
	case v.atLeast(3, 32, 0):
		return Free
	case v.atLeast(3, 29, 4):
		return Prefixed
	case v.atLeast(3, 29, 0):
		return PrefixedAll
	}
	return NoTiers
}
