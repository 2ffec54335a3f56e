package install

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Objects are what netpol consists of, in the order in which they are applied:
// what others need comes first.
func Objects(v *Values) ([]*unstructured.Unstructured, error) {
	text, err := Manifest(v)
	if err != nil {
		return nil, err
	}
	rest, err := decode(text)
	if err != nil {
		return nil, err
	}
	return append(CRDs(), rest...), nil
}

// Manifest is everything but the CRDs as YAML, with the reasons as comments.
func Manifest(v *Values) ([]byte, error) {
	if err := v.Validate(); err != nil {
		return nil, err
	}
	d, err := newPlain(v)
	if err != nil {
		return nil, err
	}
	all, err := parts()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, p := range all {
		text, err := p.text(d)
		if err != nil {
			return nil, err
		}
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		if out.Len() > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// Encode writes objects as YAML documents.
func Encode(objects []*unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for i, u := range objects {
		data, err := yaml.Marshal(u.Object)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(data)
	}
	return out.Bytes(), nil
}

// decode reads the documents of our own manifests.
func decode(text []byte) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, doc := range strings.Split("\n"+string(text), "\n---\n") {
		object := map[string]any{}
		data, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, doc)
		}
		u := &unstructured.Unstructured{Object: object}
		if err := u.UnmarshalJSON(data); err != nil {
			return nil, fmt.Errorf("%w in\n%s", err, doc)
		}
		out = append(out, u)
	}
	return out, nil
}

// header stands above what is made.
const header = "# Made by make generate; do not edit.\n"

// Files are those of deploy/, by their path there: the manifests for kubectl
// and the chart.
func Files() (map[string][]byte, error) {
	v, err := Defaults(Release)
	if err != nil {
		return nil, err
	}
	text, err := Manifest(v)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{"netpol.yaml": append([]byte(header), text...)}
	for _, u := range CRDs() {
		data, err := Encode([]*unstructured.Unstructured{u})
		if err != nil {
			return nil, err
		}
		data = append([]byte(header), data...)
		out["crds/"+u.GetName()+".yaml"] = data
		out["helm/netpol/crds/"+u.GetName()+".yaml"] = data
	}
	return out, chart(out)
}

// chart adds the chart's files.
func chart(out map[string][]byte) error {
	all, err := parts()
	if err != nil {
		return err
	}
	for _, p := range all {
		text, err := p.text(helm{})
		if err != nil {
			return err
		}
		out["helm/netpol/templates/"+p.file()] = append([]byte(header), text...)
	}
	for file, to := range map[string]string{
		"Chart.yaml": "Chart.yaml", "values.yaml": "values.yaml",
		"values.schema.json": "values.schema.json", "NOTES.txt": "templates/NOTES.txt", "storage-check.yaml": "templates/storage-check.yaml",
	} {
		text, err := fill(file, Release)
		if err != nil {
			return err
		}
		out["helm/netpol/"+to] = text
	}
	return nil
}

func valuesYAML(release string) ([]byte, error) { return fill("values.yaml", release) }

// fill puts the release into one of the chart's files.
func fill(name, release string) ([]byte, error) {
	text, err := sources.ReadFile(path.Join("chart", name))
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Delims("[[", "]]").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = t.Execute(&out, map[string]string{"Release": release, "Number": strings.TrimPrefix(release, "v")})
	return out.Bytes(), err
}
