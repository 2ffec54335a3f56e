package kube

import "time"

// Holding sets how long a policy may be ahead of its tier, and a pod of its
// service account.
func (o Options) Holding(d time.Duration) Options {
	o.hold = d
	return o
}

// Patient sets how long a server may be silent that lists by watching.
func (o Options) Patient(d time.Duration) Options {
	o.patience = d
	return o
}

// Watching sets how long a watch lasts.
func (o Options) Watching(d time.Duration) Options {
	o.watchFor = d
	return o
}
