package kube

import (
	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// Quiet keeps the Kubernetes libraries from writing to standard error by
// themselves: what goes wrong comes back as an error, and a stream that the
// other side closes is nothing that a user should read of.
func Quiet() { klog.SetLogger(logr.Discard()) }
