package kube

import "time"

// Patient sets how long a server may be silent that lists by watching.
func (o Options) Patient(d time.Duration) Options {
	o.patience = d
	return o
}
