package policy_test

import (
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestLastAddr(t *testing.T) {
	for net, want := range map[string]string{
		"10.0.0.0/8": "10.255.255.255", "10.0.0.7/32": "10.0.0.7", "10.0.0.9/29": "10.0.0.15", "0.0.0.0/0": "255.255.255.255",
		"2001:db8::/127": "2001:db8::1", "::/0": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	} {
		if got := policy.LastAddr(netip.MustParsePrefix(net)).String(); got != want {
			t.Errorf("%s ends with %s, want %s", net, got, want)
		}
	}
}
