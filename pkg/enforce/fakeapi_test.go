//go:build linux

package enforce_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
)

// fakeAPI is an API server of objects that do not change, for measuring: a
// real one would take minutes to be given them. It answers watches, with what
// there is first.
type fakeAPI struct {
	url   string
	paths map[string][]string // objects by the path of their collection
}

func newFakeAPI(t testing.TB) *fakeAPI {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeAPI{url: "http://" + l.Addr().String(), paths: map[string][]string{
		"/api/v1/namespaces": nil, "/api/v1/nodes": nil, "/api/v1/pods": nil, "/api/v1/services": nil, "/api/v1/serviceaccounts": nil,
		"/apis/discovery.k8s.io/v1/endpointslices": nil, "/apis/networking.k8s.io/v1/networkpolicies": nil,
	}}
	for _, kind := range []string{"tiers", "networkpolicies", "globalnetworkpolicies", "stagednetworkpolicies", "stagedglobalnetworkpolicies",
		"stagedkubernetesnetworkpolicies", "networksets", "globalnetworksets", "hostendpoints"} { // those that netpol install makes
		f.paths["/apis/projectcalico.org/v3/"+kind] = nil
	}
	s := &http.Server{Handler: f}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return f
}

// ServeHTTP implements http.Handler.
func (f *fakeAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	objects, ok := f.paths[r.URL.Path]
	if !ok || r.URL.Query().Get("watch") != "true" {
		http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		for _, o := range objects {
			_, _ = fmt.Fprintf(w, `{"type":"ADDED","object":%s}`+"\n", o)
		}
		_, _ = fmt.Fprint(w, `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"1000000","annotations":{"k8s.io/initial-events-end":"true"}}}}`+"\n")
	}
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func (f *fakeAPI) add(path, object string) { f.paths[path] = append(f.paths[path], object) }

// fakePod is a pod as a cluster has it, of about the usual size.
const fakePod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app-%[2]d-7d9f8b6c5d-%05[3]d","generateName":"app-%[2]d-7d9f8b6c5d-","namespace":"ns-%[1]d","uid":"0f7a1b2c-3d4e-4f50-8a6b-%012[3]d","resourceVersion":"%[4]d","creationTimestamp":"2026-01-02T03:04:05Z",` +
	`"labels":{"app":"app-%[2]d","app.kubernetes.io/name":"app-%[2]d","app.kubernetes.io/part-of":"shop","pod-template-hash":"7d9f8b6c5d"},"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"9090"},` +
	`"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"app-%[2]d-7d9f8b6c5d","uid":"1f7a1b2c-3d4e-4f50-8a6b-%012[2]d","controller":true,"blockOwnerDeletion":true}],` +
	`"managedFields":[{"manager":"kube-controller-manager","operation":"Update","apiVersion":"v1","time":"2026-01-02T03:04:05Z","fieldsType":"FieldsV1","fieldsV1":{"f:metadata":{"f:generateName":{},"f:labels":{".":{},"f:app":{},"f:pod-template-hash":{}},"f:ownerReferences":{".":{},"k:{\"uid\":\"1f7a1b2c\"}":{}}},"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{},"f:protocol":{}}},"f:resources":{".":{},"f:limits":{".":{},"f:memory":{}},"f:requests":{".":{},"f:cpu":{},"f:memory":{}}}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{}}}},{"manager":"kubelet","operation":"Update","apiVersion":"v1","time":"2026-01-02T03:04:15Z","fieldsType":"FieldsV1","fieldsV1":{"f:status":{"f:conditions":{},"f:containerStatuses":{},"f:hostIP":{},"f:phase":{},"f:podIP":{},"f:podIPs":{},"f:startTime":{}}},"subresource":"status"}]},` +
	`"spec":{"volumes":[{"name":"kube-api-access","projected":{"sources":[{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"name":"kube-root-ca.crt","items":[{"key":"ca.crt","path":"ca.crt"}]}},{"downwardAPI":{"items":[{"path":"namespace","fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"}}]}}],"defaultMode":420}}],` +
	`"containers":[{"name":"main","image":"registry.example.com/shop/app-%[2]d:1.2.3","ports":[{"name":"http","containerPort":8080,"protocol":"TCP"},{"name":"metrics","containerPort":9090,"protocol":"TCP"}],"env":[{"name":"LOG_LEVEL","value":"info"},{"name":"DATABASE","value":"postgres://db.ns-%[1]d.svc:5432/app"}],"resources":{"limits":{"memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}],` +
	`"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"default","serviceAccount":"default","nodeName":"%[5]s","securityContext":{},"schedulerName":"default-scheduler","tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute","tolerationSeconds":300}],"priority":0,"enableServiceLinks":true},` +
	`"status":{"phase":"Running","conditions":[{"type":"Initialized","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z"},{"type":"Ready","status":"True","lastTransitionTime":"2026-01-02T03:04:15Z"},{"type":"PodScheduled","status":"True","lastTransitionTime":"2026-01-02T03:04:05Z"}],"hostIP":"192.0.2.1","podIP":"%[6]s","podIPs":[{"ip":"%[6]s"}],"startTime":"2026-01-02T03:04:05Z","containerStatuses":[{"name":"main","state":{"running":{"startedAt":"2026-01-02T03:04:14Z"}},"ready":true,"restartCount":0,"image":"registry.example.com/shop/app-%[2]d:1.2.3","imageID":"registry.example.com/shop/app@sha256:0000","containerID":"containerd://%[3]d","started":true}],"qosClass":"Burstable"}}`

// Sizes of the cluster that is measured.
const (
	fakeNamespaces = 100
	fakeApps       = 10 // in each namespace
)

// fill makes a cluster: pods of which the first local ones are this node's,
// and policies.
func (f *fakeAPI) fill(pods, local, policies int) {
	for ns := range fakeNamespaces {
		f.add("/api/v1/namespaces", fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"ns-%d","resourceVersion":"5","labels":{"team":"team-%d","kubernetes.io/metadata.name":"ns-%d"}}}`, ns, ns%10, ns))
	}
	for i := range 100 {
		f.add("/api/v1/nodes", fmt.Sprintf(`{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-%d","resourceVersion":"6"},"spec":{"podCIDR":"10.%d.0.0/24","podCIDRs":["10.%d.0.0/24"]},"status":{"addresses":[{"type":"InternalIP","address":"192.0.2.%d"}]}}`, i+1, 65+i, 65+i, i+1))
	}
	for i := range pods {
		node, addr := fmt.Sprintf("node-%d", 2+i%99), fmt.Sprintf("10.%d.%d.%d", 66+i%99, i/99/200, 1+i/99%200)
		if i < local {
			node, addr = nodeName, fmt.Sprintf("10.65.0.%d", i+1)
		}
		f.add("/api/v1/pods", fmt.Sprintf(fakePod, i%fakeNamespaces, i/fakeNamespaces%fakeApps, i, 1000+i, node, addr))
	}
	for i := range policies {
		source := fmt.Sprintf(`"selector":"app == 'app-%d'"`, (i*7)%fakeApps)
		if i%2 == 1 {
			source += fmt.Sprintf(`,"namespaceSelector":"team == 'team-%d'"`, (i/3)%10)
		}
		f.add("/apis/projectcalico.org/v3/networkpolicies", fmt.Sprintf(
			`{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"policy-%d","namespace":"ns-%d","resourceVersion":"%d","uid":"2f7a1b2c-3d4e-4f50-8a6b-%012d","creationTimestamp":"2026-01-02T03:04:05Z","generation":1},`+
				`"spec":{"tier":"default","order":%d,"selector":"app == 'app-%d'","types":["Ingress"],"ingress":[{"action":"Allow","protocol":"TCP","source":{%s},"destination":{"ports":[%d]}}]}}`,
			i, i%fakeNamespaces, 100000+i, i, 100+i, i/fakeNamespaces%fakeApps, source, 8080+i%20))
	}
}
