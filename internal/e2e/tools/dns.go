//go:build linux

package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// zone is the cluster's DNS as the API server knows it: A and AAAA of Services
// and of the pods behind headless ones.
type zone struct {
	domain           string
	services, slices cache.GenericLister
}

// serveDNS is the cluster's DNS server, by UDP and TCP; /readyz on :8181.
func serveDNS(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("dns", flag.ContinueOnError)
	domain := flags.String("domain", "cluster.local", "the cluster's domain")
	if err := flags.Parse(args); err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 10*time.Minute)
	z := &zone{
		domain:   dns.Fqdn(*domain),
		services: factory.ForResource(corev1.SchemeGroupVersion.WithResource("services")).Lister(),
		slices:   factory.ForResource(discoveryv1.SchemeGroupVersion.WithResource("endpointslices")).Lister(),
	}
	// Lister alone registers nothing.
	for _, resource := range []schema.GroupVersionResource{
		corev1.SchemeGroupVersion.WithResource("services"), discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
	} {
		_ = factory.ForResource(resource).Informer()
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	return z.serve(ctx)
}

func (z *zone) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: ":53", Net: network, Handler: z}
		context.AfterFunc(ctx, func() { _ = server.Shutdown() })
		group.Go(server.ListenAndServe)
	}
	ready := &http.Server{Addr: ":8181", ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	context.AfterFunc(ctx, func() { _ = ready.Close() })
	group.Go(func() error {
		if err := ready.ListenAndServe(); ctx.Err() == nil {
			return err
		}
		return nil
	})
	return group.Wait()
}

// ServeDNS answers one question.
func (z *zone) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	reply := new(dns.Msg).SetReply(query)
	reply.Authoritative = true
	if len(query.Question) == 1 {
		question := query.Question[0]
		addresses, known := z.lookup(strings.ToLower(question.Name))
		if !known {
			reply.Rcode = dns.RcodeNameError
		}
		for _, address := range addresses {
			if record := record(question, address); record != nil {
				reply.Answer = append(reply.Answer, record)
			}
		}
	}
	if err := w.WriteMsg(reply); err != nil {
		fmt.Println("answer:", err)
	}
}

func record(question dns.Question, address netip.Addr) dns.RR {
	header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET, Ttl: 5}
	switch {
	case question.Qtype == dns.TypeA && address.Is4():
		return &dns.A{Hdr: header, A: net.IP(address.AsSlice())}
	case question.Qtype == dns.TypeAAAA && address.Is6():
		return &dns.AAAA{Hdr: header, AAAA: net.IP(address.AsSlice())}
	}
	return nil
}

// lookup finds SERVICE.NAMESPACE.svc.DOMAIN.
func (z *zone) lookup(name string) (addresses []netip.Addr, known bool) {
	rest, ok := strings.CutSuffix(name, ".svc."+z.domain)
	if !ok {
		return nil, false
	}
	service, namespace, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(namespace, ".") {
		return nil, false
	}
	object, err := z.services.ByNamespace(namespace).Get(service)
	if err != nil {
		return nil, false
	}
	var found corev1.Service
	if decode(object, &found) != nil {
		return nil, false
	}
	if found.Spec.ClusterIP == corev1.ClusterIPNone {
		return z.endpoints(namespace, service), true
	}
	return parse(found.Spec.ClusterIPs), true
}

func (z *zone) endpoints(namespace, service string) (addresses []netip.Addr) {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: service})
	objects, err := z.slices.ByNamespace(namespace).List(selector)
	if err != nil {
		return nil
	}
	for _, object := range objects {
		var slice discoveryv1.EndpointSlice
		if decode(object, &slice) != nil {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			if endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready {
				addresses = append(addresses, parse(endpoint.Addresses)...)
			}
		}
	}
	return addresses
}

func decode(object runtime.Object, into any) error {
	fields := object.(*unstructured.Unstructured).UnstructuredContent()
	return runtime.DefaultUnstructuredConverter.FromUnstructured(fields, into)
}

func parse(texts []string) (addresses []netip.Addr) {
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			addresses = append(addresses, address)
		}
	}
	return addresses
}
