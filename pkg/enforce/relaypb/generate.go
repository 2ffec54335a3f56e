// Package relaypb is the wire form of what agents and the flows server of their
// cluster say to each other.
package relaypb

//go:generate protoc --proto_path=. --proto_path=../agentpb --proto_path=../../flow/flowpb --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative relay.proto
