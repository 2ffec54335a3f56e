package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/stage"
)

// What an Event may have, by the API server's validation.
const (
	maxEventNote     = 1024
	maxEventInstance = 128
)

// audit leaves an Event on a policy that was taken back before its time, on a
// cluster. Not to be able to is told and changes nothing.
func (g *trialGuard) audit(ctx context.Context, u *unstructured.Unstructured, why *stage.Revert) {
	server, ok := g.store.(cluster.Server)
	if !ok {
		return
	}
	object := revertEvent(u, why, g.id.Revision, g.opts.Now())
	if _, err := server.ChangeWith(ctx, []cluster.Change{{Object: object, IfAbsent: true}}, cluster.ChangeOptions{}); err != nil {
		g.opts.IO.ErrPrinter().Printf("note: no Event tells of it: %s\n", firstLine(err.Error()))
	}
}

// revertEvent is the Event of a revert. The Event of what lives in no namespace
// is in "default", as the API wants it.
func revertEvent(u *unstructured.Unstructured, why *stage.Revert, revision uint64, now time.Time) *unstructured.Unstructured {
	namespace := u.GetNamespace()
	if namespace == "" {
		namespace = "default"
	}
	instance, err := os.Hostname()
	if err != nil || instance == "" {
		instance = "unknown"
	}
	out := &unstructured.Unstructured{Object: map[string]any{
		"eventTime": now.UTC().Format("2006-01-02T15:04:05.000000Z07:00"), // microseconds, as the API writes it
		"type":      "Warning", "reason": "RolledBackOnDeny", "action": "Rollback",
		"reportingController": "netpol.dev/netpol", "reportingInstance": instance[:min(len(instance), maxEventInstance)],
		"regarding": map[string]any{
			"apiVersion": u.GetAPIVersion(), "kind": u.GetKind(), "namespace": u.GetNamespace(), "name": u.GetName(),
			"uid": string(u.GetUID()), "resourceVersion": u.GetResourceVersion(),
		},
		"note": eventNote(why, revision),
	}}
	out.SetAPIVersion("events.k8s.io/v1")
	out.SetKind("Event")
	out.SetNamespace(namespace)
	out.SetName(fmt.Sprintf("%.200s.%x", u.GetName(), now.UnixNano()))
	out.SetLabels(map[string]string{"app.kubernetes.io/part-of": "netpol"})
	return out
}

// eventNote says who did what and why, as far as there is room.
func eventNote(why *stage.Revert, revision uint64) string {
	by := ""
	if why.By != "" {
		by = " by " + why.By
	}
	out := fmt.Sprintf("revision %d taken back%s before its time: %s", revision, by, why.Text())
	if why.Denied != nil {
		out += ": " + strings.Join(denialLines(why.Denied), "; ")
	}
	return shortened(out, maxEventNote)
}
