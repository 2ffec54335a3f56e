// Package flowpb is the wire form of flows: the gRPC API of Calico's Goldmane
// with netpol's additions in fields from 1000 on.
package flowpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative flows.proto
