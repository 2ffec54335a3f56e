// Package node is the process that is a lab: it builds the network, starts the
// agent and an actor for each pod, starts again what dies, counts what the
// actors report, and answers the control socket.
//
// It is the first process of its process namespace: when it ends, for whatever
// reason, the kernel ends everything below it and the namespaces go.
package node
