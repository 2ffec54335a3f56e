//go:build linux

// Package e2e runs a real Kubernetes cluster of three nodes on this machine,
// for tests: etcd, kube-apiserver, kube-controller-manager and kube-scheduler,
// and for each node a kubelet, containerd, runc, the CNI plugin ptp and
// kube-proxy in nftables mode, dual stack. It needs root.
//
//	TestMain ── Sandbox ──► process 1 of new PID, mount and network namespaces
//	                        └─► the tests ── Up ──► control plane, on a bridge
//	                                                node1, node2, node3: network
//	                                                and mount namespaces
//
// Everything lives in one set of namespaces: when the first process in it ends,
// for whatever reason, the kernel ends the others and takes down mounts and
// interfaces. Only cgroups are left, which the process outside removes. Nothing
// of the machine's own network, files or sysctls is touched.
//
// It is for test code only.
package e2e
