// Package figures measures netpol over large files of flows. It has nothing but
// its tests: a cluster and its flows, written as a recording, as Calico's flow
// logs and as Hubble's events, and benchmarks of the command line over them.
package figures
