package flowserver

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// bounded refuses large requests of users: agents alone have much to say.
func bounded(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if m, ok := req.(proto.Message); ok && proto.Size(m) > maxRequest {
		return nil, status.Errorf(codes.ResourceExhausted, "%s: a request has at most %d bytes", info.FullMethod, maxRequest)
	}
	return next(ctx, req)
}
