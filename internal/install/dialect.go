package install

import (
	"encoding/json"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// plain writes settings as what they are.
type plain struct{ values map[string]any }

func newPlain(v *Values) (*plain, error) {
	values, err := v.tree()
	return &plain{values: values}, err
}

func (p *plain) at(name string) (any, error) {
	var at any = p.values
	for _, key := range strings.Split(name, ".") {
		m, _ := at.(map[string]any)
		next, ok := m[key]
		if !ok {
			return nil, fmt.Errorf("there is no setting %s", name)
		}
		at = next
	}
	return at, nil
}

func (p *plain) on(name string) (bool, error) {
	v, err := p.at(name)
	switch v := v.(type) {
	case bool:
		return v, err
	case string:
		return v != "", err
	case []any:
		return len(v) > 0, err
	}
	return false, err
}

func (p *plain) off(name string) (bool, error) {
	on, err := p.on(name)
	return !on, err
}

func (p *plain) open(string) string   { return "" }
func (p *plain) unless(string) string { return "" }
func (p *plain) each(string) string   { return "" }
func (p *plain) end() string          { return "" }

func (p *plain) value(name string) (string, error) {
	v, err := p.at(name)
	if err != nil {
		return "", err
	}
	data, err := json.Marshal(v)
	return string(data), err
}

func (p *plain) raw(name string) (string, error) {
	v, err := p.at(name)
	return fmt.Sprint(v), err
}

func (p *plain) pick(name, yes, no string) (string, error) {
	on, err := p.on(name)
	if on {
		return yes, err
	}
	return no, err
}

func (p *plain) items(name string) ([]string, error) {
	v, err := p.at(name)
	list, _ := v.([]any)
	var out []string
	for _, item := range list {
		data, err := json.Marshal(item)
		if err != nil {
			return nil, err
		}
		out = append(out, string(data))
	}
	return out, err
}

func (p *plain) tree(name string, indent int) (string, error) {
	v, err := p.at(name)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case nil:
		return " null", nil
	case map[string]any:
		if len(v) == 0 {
			return " {}", nil
		}
	case []any:
		if len(v) == 0 {
			return " []", nil
		}
	}
	return p.list(name, indent)
}

func (p *plain) list(name string, indent int) (string, error) {
	v, err := p.at(name)
	if err != nil {
		return "", err
	}
	if list, ok := v.([]any); v == nil || ok && len(list) == 0 {
		return "", nil
	}
	data, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	out := ""
	for line := range strings.Lines(string(data)) {
		out += fmt.Sprintf("\n%*s%s", indent, "", strings.TrimRight(line, "\n"))
	}
	return out, nil
}

// helm writes what Helm's templates have in place of settings.
type helm struct{}

func (helm) on(string) (bool, error)   { return true, nil }
func (helm) off(string) (bool, error)  { return true, nil }
func (helm) open(name string) string   { return "\n{{- if .Values." + name + " }}" }
func (helm) unless(name string) string { return "\n{{- if not .Values." + name + " }}" }
func (helm) each(name string) string   { return "\n{{- range .Values." + name + " }}" }
func (helm) end() string               { return "\n{{- end }}" }

func (helm) value(name string) (string, error) { return "{{ .Values." + name + " | quote }}", nil }
func (helm) raw(name string) (string, error)   { return "{{ .Values." + name + " }}", nil }

func (helm) pick(name, yes, no string) (string, error) {
	return fmt.Sprintf("{{ ternary %q %q .Values.%s }}", yes, no, name), nil
}

func (helm) items(string) ([]string, error) { return []string{"{{ . | quote }}"}, nil }

func (helm) tree(name string, indent int) (string, error) {
	return fmt.Sprintf("\n%*s{{- toYaml .Values.%s | nindent %d }}", indent, "", name, indent), nil
}

func (helm) list(name string, indent int) (string, error) {
	return fmt.Sprintf("\n%*s{{- with .Values.%s }}{{ toYaml . | nindent %d }}{{ end }}", indent, "", name, indent), nil
}
