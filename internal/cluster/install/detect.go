package install

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// Found is what is on a cluster already, as far as it matters to whoever
// installs or removes netpol.
type Found struct {
	// Calico are the signs that Calico, or another program of these kinds, is
	// there. It enforces what netpol writes, so there is nothing to install.
	Calico []string
	// Others are programs that enforce Kubernetes' NetworkPolicy themselves.
	Others []string
	// Helm is the release that netpol was installed by, as NAMESPACE/NAME; empty
	// if none.
	Helm string
	// Agent is the DaemonSet of the agents, nil if there is none.
	Agent *unstructured.Unstructured
}

// Detect looks at a cluster.
func (c *Client) Detect(ctx context.Context) (*Found, error) {
	f := &Found{}
	if err := c.recent(ctx); err != nil {
		return nil, err
	}
	for _, look := range []func(context.Context, *Found) error{c.findKinds, c.findCalico, c.findDaemonSets, c.findK3s} {
		if err := look(ctx, f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// recent refuses API servers that are too old for what is installed.
func (c *Client) recent(ctx context.Context) error {
	_, err := c.meta.Resource(admissionPolicies).List(ctx, metav1.ListOptions{Limit: 1})
	if apierrors.IsNotFound(err) {
		return &cluster.Failure{What: "this API server is too old: it has no ValidatingAdmissionPolicy",
			Where: []string{"netpol needs Kubernetes 1.30 or later"}, Try: c.kubectl("version")}
	}
	return c.fail("list validatingadmissionpolicies.admissionregistration.k8s.io", err)
}

// findKinds finds definitions of projectcalico.org that are not ours.
func (c *Client) findKinds(ctx context.Context, f *Found) error {
	var foreign []string
	err := c.eachMeta(ctx, crds, "", metav1.ListOptions{}, func(crd *metav1.PartialObjectMetadata) {
		if strings.HasSuffix(crd.Name, ".projectcalico.org") && !strings.HasSuffix(crd.Name, ".crd.projectcalico.org") &&
			crd.Labels[manifest.LabelPartOf] != manifest.Ours {
			foreign = append(foreign, crd.Name)
		}
	})
	if err != nil {
		return err
	}
	if n := len(foreign); n > 0 {
		slices.Sort(foreign)
		rest := ""
		if n > 1 {
			rest = fmt.Sprintf(" and %d more", n-1)
		}
		f.Calico = append(f.Calico, "CustomResourceDefinition "+foreign[0]+rest+", which netpol has not made")
	}
	return nil
}

// findCalico asks the package that also tells commands whether Calico enforces.
func (c *Client) findCalico(ctx context.Context, f *Found) error {
	signs, err := calico.Signs(ctx, c.conn, requestTime)
	f.Calico = append(f.Calico, signs...)
	return err
}

// requestTime bounds each request that looks for Calico.
const requestTime = 10 * time.Second

// enforcer is a program that enforces policies, as a DaemonSet shows it: by its
// own name or an image of it.
type enforcer struct {
	product string
	// name is of the DaemonSet; image begins the last part of an image's name.
	name, image string
	// argument must be among the container's if it is not empty.
	argument string
}

// enforcers are those that are known to enforce Kubernetes' NetworkPolicy.
var enforcers = []enforcer{
	{product: "Cilium", name: "cilium"},
	{product: "Cilium", image: "cilium"},
	{product: "GKE Dataplane V2", name: "anetd"},
	{product: "Antrea", name: "antrea-agent"},
	{product: "Antrea", image: "antrea-agent"},
	{product: "kube-router", name: "kube-router"},
	{product: "kube-router", image: "kube-router"},
	{product: "kube-network-policies", name: "kube-network-policies"},
	{product: "kube-network-policies", image: "kube-network-policies"},
	{product: "kindnet", image: "kindnetd"},
	{product: "kindnet", name: "kindnet"},
	{product: "OVN-Kubernetes", name: "ovnkube-node"},
	{product: "Kube-OVN", name: "kube-ovn-cni"},
	{product: "Azure Network Policy Manager", name: "azure-npm"},
	{product: "Weave Net", name: "weave-net"},
	{product: "Romana", name: "romana-agent"},
	{product: "the AWS VPC CNI's network policy agent", image: "aws-network-policy-agent", argument: "--enable-network-policy=true"},
	{product: "the AWS VPC CNI's network policy agent", image: "aws-eks-nodeagent", argument: "--enable-network-policy=true"},
}

func (c *Client) findDaemonSets(ctx context.Context, f *Found) error {
	return c.each(ctx, daemonSets, metav1.ListOptions{}, func(u *unstructured.Unstructured) {
		where := "DaemonSet " + u.GetNamespace() + "/" + u.GetName()
		if u.GetNamespace() == manifest.Namespace && u.GetName() == manifest.AgentName {
			f.Agent = u
			if u.GetLabels()[manifest.LabelManagedBy] == manifest.HelmManages {
				a := u.GetAnnotations()
				f.Helm = a["meta.helm.sh/release-namespace"] + "/" + a["meta.helm.sh/release-name"]
			}
			return
		}
		for _, e := range enforcers {
			if e.matches(u) {
				f.Others = append(f.Others, e.product+" ("+where+")")
				return
			}
		}
	})
}

// findK3s finds the enforcer that is a part of k3s itself and no pod.
func (c *Client) findK3s(ctx context.Context, f *Found) error {
	list, err := c.dyn.Resource(nodes).List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return c.fail("list nodes", err)
	}
	for _, n := range list.Items {
		version, _, _ := unstructured.NestedString(n.Object, "status", "nodeInfo", "kubeletVersion")
		if strings.Contains(version, "+k3s") {
			f.Others = append(f.Others, "k3s ("+version+" on Node "+n.GetName()+"), unless its servers run with --disable-network-policy")
		}
	}
	return nil
}

func (e enforcer) matches(u *unstructured.Unstructured) bool {
	if e.name != "" && u.GetName() == e.name {
		return true
	}
	if e.image == "" {
		return false
	}
	for _, c := range containers(u) {
		image, _ := c["image"].(string)
		last := image[strings.LastIndex(image, "/")+1:]
		if base, _, _ := strings.Cut(last, "@"); !strings.HasPrefix(base, e.image) {
			continue
		}
		if e.argument == "" {
			return true
		}
		for _, list := range []string{"args", "command"} {
			args, _ := c[list].([]any)
			if slices.Contains(args, any(e.argument)) {
				return true
			}
		}
	}
	return false
}

func containers(u *unstructured.Unstructured) (out []map[string]any) {
	list, _, _ := unstructured.NestedSlice(u.Object, "spec", "template", "spec", "containers")
	for _, item := range list {
		if c, ok := item.(map[string]any); ok {
			out = append(out, c)
		}
	}
	return out
}
