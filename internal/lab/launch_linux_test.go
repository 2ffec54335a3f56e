package lab

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestForbiddenNamesTheSetting(t *testing.T) {
	for _, tc := range []struct {
		setting, value string
		root           bool
		what, try      string
	}{
		{"user.max_user_namespaces", "0", false, "user.max_user_namespaces is 0", "sysctl -w user.max_user_namespaces="},
		{"user.max_net_namespaces", "0", true, "user.max_net_namespaces is 0", "sysctl -w user.max_net_namespaces="},
		{"kernel.unprivileged_userns_clone", "0", false, "kernel.unprivileged_userns_clone is 0", "kernel.unprivileged_userns_clone=1, or run it as root"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", false, "apparmor_restrict_unprivileged_userns is 1", "apparmor_restrict_unprivileged_userns=0"},
		{"kernel.apparmor_restrict_unprivileged_userns", "1", true, "operation not permitted", "outside of the container"},
		{"", "", false, "operation not permitted", "run it as root"},
	} {
		err := explain(syscall.EPERM, func(name string) string {
			if name == tc.setting {
				return tc.value
			}
			return "1000"
		}, tc.root)
		var hint *Hint
		if !errors.As(err, &hint) || !errors.Is(err, ErrForbidden) ||
			!strings.Contains(hint.What, tc.what) || !strings.Contains(hint.Try, tc.try) {
			t.Errorf("%+v: %+v", tc, hint)
		}
	}
}
