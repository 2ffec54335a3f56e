package cmd

import "testing"

// What a long command leaves out is marked, and no character is torn.
func TestShortened(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"netpol", "netpol"}, {"12345678", "12345678"}, {"123456789", "1234 …"}, {"123ä56789", "123 …"},
	} {
		if got := shortened(c.text, 8); got != c.want {
			t.Errorf("%q: got %q, want %q", c.text, got, c.want)
		}
	}
}
