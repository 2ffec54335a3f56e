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

// Data is the directory that the agent keeps flows in.
func (d Dir) Data() string { return d.path("data") }

// Logs is the directory of log files, one a process.
func (d Dir) Logs() string { return d.path("logs") }

// LogLines is the file that Log rules write to.
func (d Dir) LogLines() string { return filepath.Join(d.Logs(), "packets.log") }

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

// base is the directory that holds all labs of this user, whether it exists or
// not, and the one above it, which is ours too.
func base() (above, labs string) {
	above = filepath.Join(os.TempDir(), "netpol-"+strconv.Itoa(os.Getuid()))
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && ownedByUs(dir) {
		above = filepath.Join(dir, "netpol")
	}
	return above, filepath.Join(above, "labs")
}

// private checks that a directory is one that only we can enter. In a
// directory that everybody can write to somebody else may have made it.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
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

// makeDir makes a lab's directory and those above it, or finds them made.
func (d Dir) makeDir() error {
	above, labs := base()
	for _, dir := range []string{above, labs, string(d)} {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the lab's directory: %w", err)
		}
		if err := private(dir); err != nil {
			return err
		}
	}
	return nil
}

// remove removes all that a lab left, and the directories above it if they are
// empty now.
func (d Dir) remove() error {
	if err := os.RemoveAll(string(d)); err != nil {
		return fmt.Errorf("remove what the lab left: %w", err)
	}
	above, labs := base()
	if os.Remove(labs) == nil { // fails where there are other labs
		_ = os.Remove(above)
	}
	return nil
}

// dirOf is the directory of a lab, whether it exists or not.
func dirOf(name string) (Dir, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	_, labs := base()
	d := Dir(filepath.Join(labs, name))
	if err := private(labs); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
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
	_, labs := base()
	out := []Listed{}
	entries, err := os.ReadDir(labs)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = private(labs)
	}
	if err != nil {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || !namePattern.MatchString(e.Name()) {
			continue
		}
		d := Dir(filepath.Join(labs, e.Name()))
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
