// Package agentpb is the wire form of what the agent answers on its socket.
package agentpb

//go:generate protoc --proto_path=. --proto_path=../../flow/flowpb --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative agent.proto
