package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// DefaultName is the name of the lab that commands use if none is given.
const DefaultName = "default"

var namePattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Dir is the directory of one lab: its manifests, sockets and logs. Only its
// owner can look into it.
type Dir string

// Manifests is the directory of manifests: the store of the lab.
func (d Dir) Manifests() string { return d.path("manifests") }

// AgentSocket is where the agent answers.
func (d Dir) AgentSocket() string { return d.path("agent.sock") }

// AgentState is where the agent keeps what must outlive it.
func (d Dir) AgentState() string { return d.path("agent") }

// Logs is the directory of log files, one a process.
func (d Dir) Logs() string { return d.path("logs") }

// PlanFile holds the plan, as JSON.
func (d Dir) PlanFile() string { return d.path("plan.json") }

// Socket is where the node answers.
func (d Dir) Socket() string { return d.path("lab.sock") }

func (d Dir) pidFile() string  { return d.path("pid") }
func (d Dir) lockFile() string { return d.path("lock") }

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// CheckName refuses names that can't be those of a lab.
func CheckName(name string) error {
	if !namePattern.MatchString(name) {
		return &Hint{
			What: fmt.Sprintf("%q can't be the name of a lab: expected at most 32 lower-case letters, digits and -", name),
			Try:  "netpol lab list",
		}
	}
	return nil
}

// base is the directory that holds all labs of this user. It is made if need
// be, and refused if it is somebody else's.
func base() (string, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir != "" && ownedByUs(dir) {
		dir = filepath.Join(dir, "netpol")
	} else {
		dir = filepath.Join(os.TempDir(), "netpol-"+strconv.Itoa(os.Getuid()))
	}
	if err := private(dir); err != nil {
		return "", err
	}
	dir = filepath.Join(dir, "labs")
	return dir, private(dir)
}

// private makes a directory that only we can enter, or checks that it is one.
// In a directory that everybody can write to somebody may have been first.
func private(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make a directory for labs: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("directory for labs: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ownedByUs(dir) {
		return &Hint{
			What: fmt.Sprintf("%s is not a directory of ours alone (mode 0700)", dir),
			Try:  "set XDG_RUNTIME_DIR to a directory of your own",
			Err:  fs.ErrPermission,
		}
	}
	return nil
}

// dirOf is the directory of a lab, whether it exists or not.
func dirOf(name string) (Dir, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	b, err := base()
	if err != nil {
		return "", err
	}
	d := Dir(filepath.Join(b, name))
	// A unix socket's path has room for 107 bytes.
	if len(d.AgentSocket()) > 107 {
		return "", &Hint{
			What: fmt.Sprintf("the path of the lab's sockets, below %s, is too long for the kernel", d),
			Try:  "set XDG_RUNTIME_DIR to a shorter path",
		}
	}
	return d, nil
}

// Listed is one lab that List found.
type Listed struct {
	Name string `json:"name"`
	// Running is false for what a lab that was killed left behind.
	Running   bool   `json:"running"`
	PID       int    `json:"pid,omitempty"`
	Directory string `json:"directory"`
}

// List finds this user's labs, sorted by name.
func List() ([]Listed, error) {
	b, err := base()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(b)
	if err != nil {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	out := []Listed{}
	for _, e := range entries {
		if !e.IsDir() || !namePattern.MatchString(e.Name()) {
			continue
		}
		d := Dir(filepath.Join(b, e.Name()))
		out = append(out, Listed{Name: e.Name(), Running: d.alive(), PID: d.pid(), Directory: string(d)})
	}
	slices.SortFunc(out, func(x, y Listed) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

// pid is the node's process, 0 if it is not known.
func (d Dir) pid() int {
	data, err := os.ReadFile(d.pidFile())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		return 0
	}
	return pid
}
