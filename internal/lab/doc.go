// Package lab is a node on this machine: a user, process, mount and network
// namespace with the pods that manifests ask for, in which the real agent
// enforces.
//
// It starts, finds and ends labs, and talks to them. Package plan works out
// what a lab consists of, package network builds it in the kernel, package
// node is the process that keeps it, package actor what runs in its pods, and
// package prober tests what can be reached.
//
// One process, the node, is the lab: everything else hangs below it in a
// process namespace of its own, so nothing outlives it, however it ends.
package lab
