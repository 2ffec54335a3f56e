// Package network builds a lab's network in the kernel: a namespace for each
// pod, joined to the node by a veth and a host route as the ptp plugin and
// Calico do it, an outside client's namespace, and the translation of Service
// addresses.
//
// It works in the network namespace that it is called in, which must be the
// lab's own. Namespaces are held by file descriptors only, so nothing outlives
// the process that made them. It enforces nothing.
package network
