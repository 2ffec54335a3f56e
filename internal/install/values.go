package install

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Values are the settings there are, the same for netpol install and for the
// chart. chart/values.yaml says what each is for and what it is by default.
type Values struct {
	Image            string           `json:"image"`
	ImagePullPolicy  string           `json:"imagePullPolicy"`
	ImagePullSecrets []map[string]any `json:"imagePullSecrets"`
	LogLevel         string           `json:"logLevel"`
	Namespace        struct {
		Create bool `json:"create"`
	} `json:"namespace"`
	Agent struct {
		ExposeMetrics bool `json:"exposeMetrics"`
		CNI           CNI  `json:"cni"`
		Pods
	} `json:"agent"`
	Flows struct {
		Enabled bool     `json:"enabled"`
		Groups  []string `json:"groups"`
		Storage Storage  `json:"storage"`
		Pods
	} `json:"flows"`
}

// CNI are the settings of the plugin that makes a pod's start wait.
type CNI struct {
	Enabled bool `json:"enabled"`
	// BinDir and ConfDir are the node's directories of plugins and of network
	// configurations.
	BinDir  string `json:"binDir"`
	ConfDir string `json:"confDir"`
}

// Pods are the settings that agents and the flows server both have.
type Pods struct {
	// Data is the source of the volume that flows are kept in.
	Data         map[string]any    `json:"data"`
	ExtraArgs    []string          `json:"extraArgs"`
	Resources    map[string]any    `json:"resources"`
	NodeSelector map[string]string `json:"nodeSelector"`
	Tolerations  []map[string]any  `json:"tolerations"`
}

//go:embed chart manifests cleanup
var sources embed.FS

// Defaults are the settings of a release.
func Defaults(release string) (*Values, error) {
	text, err := valuesYAML(release)
	if err != nil {
		return nil, err
	}
	v := &Values{}
	if err := yaml.UnmarshalStrict(text, v); err != nil {
		return nil, fmt.Errorf("values.yaml: %w", err)
	}
	return v, v.Validate()
}

// Merge sets what data, YAML as chart/values.yaml is, says. As Helm does it, a
// map goes into v's key by key, null removes a key, and a list replaces a list.
func (v *Values) Merge(data []byte) error {
	// What is unknown is refused before it is lost among the rest.
	if err := yaml.UnmarshalStrict(data, &Values{}); err != nil {
		return err
	}
	more := map[string]any{}
	if err := yaml.Unmarshal(data, &more); err != nil {
		return err
	}
	mine, err := v.tree()
	if err != nil {
		return err
	}
	text, err := json.Marshal(merged(mine, more))
	if err != nil {
		return err
	}
	next := &Values{}
	if err := json.Unmarshal(text, next); err != nil {
		return err
	}
	if err := next.Validate(); err != nil {
		return err
	}
	*v = *next
	return nil
}

// tree is v as JSON has it.
func (v *Values) tree() (map[string]any, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	out := map[string]any{}
	return out, json.Unmarshal(data, &out)
}

func merged(into, from map[string]any) map[string]any {
	for key, value := range from {
		old, isMap := into[key].(map[string]any)
		more, areMaps := value.(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && areMaps:
			into[key] = merged(old, more)
		default:
			into[key] = value
		}
	}
	return into
}

var (
	imageName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`)
	argument     = regexp.MustCompile(`^--[a-z][a-z0-9-]*(=[ -~]*)?$`)
	pullPolicies = []string{"Always", "IfNotPresent", "Never"}
	logLevels    = []string{"debug", "info", "warn", "error"}
)

// directory is a path of a node. What else a path may have needs no quoting in
// an argument, and no node's directories have.
var directory = regexp.MustCompile(`^(/[A-Za-z0-9_][A-Za-z0-9_.@+-]*)+$`)

func (c *CNI) validate() error {
	for _, d := range []struct{ name, path string }{{"binDir", c.BinDir}, {"confDir", c.ConfDir}} {
		if !directory.MatchString(d.path) {
			return fmt.Errorf("agent.cni.%s %q: expected the path of a directory, such as /opt/cni/bin", d.name, d.path)
		}
	}
	if c.BinDir == c.ConfDir {
		return fmt.Errorf("agent.cni: binDir and confDir are both %s", c.BinDir)
	}
	return nil
}

// Validate tells what of the settings can't be.
func (v *Values) Validate() error {
	var errs []error
	if !imageName.MatchString(v.Image) {
		errs = append(errs, fmt.Errorf("image %q: expected NAME:TAG or NAME@sha256:…", v.Image))
	}
	if !slices.Contains(pullPolicies, v.ImagePullPolicy) {
		errs = append(errs, fmt.Errorf("imagePullPolicy %q: expected %s", v.ImagePullPolicy, strings.Join(pullPolicies, ", ")))
	}
	if !slices.Contains(logLevels, v.LogLevel) {
		errs = append(errs, fmt.Errorf("logLevel %q: expected %s", v.LogLevel, strings.Join(logLevels, ", ")))
	}
	for _, p := range []struct {
		name string
		args []string
		data map[string]any
	}{{"agent", v.Agent.ExtraArgs, v.Agent.Data}, {"flows", v.Flows.ExtraArgs, v.Flows.Data}} {
		if len(p.data) != 1 {
			errs = append(errs, fmt.Errorf("%s.data: expected one kind of volume, and there are %d; null takes one away", p.name, len(p.data)))
		}
		for _, a := range p.args {
			if !argument.MatchString(a) {
				errs = append(errs, fmt.Errorf("%s.extraArgs %q: expected --NAME=VALUE", p.name, a))
			}
		}
	}
	errs = append(errs, v.Agent.CNI.validate(), v.Flows.Storage.validate(v.Flows.Data))
	for _, g := range v.Flows.Groups {
		if strings.TrimSpace(g) == "" {
			errs = append(errs, errors.New("flows.groups: a group has no name"))
		}
	}
	for _, s := range v.ImagePullSecrets {
		if name, ok := s["name"].(string); !ok || name == "" || len(s) > 1 {
			errs = append(errs, errors.New("imagePullSecrets: expected a list of name: SECRET"))
		}
	}
	return errors.Join(errs...)
}
