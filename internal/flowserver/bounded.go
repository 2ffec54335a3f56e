package flowserver

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

// bounded refuses large requests of users: agents alone have much to say.
func bounded(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if err := checkSize(req, info.FullMethod); err != nil {
		return nil, err
	}
	return next(ctx, req)
}

// boundedStream does so where the answer is a stream.
func boundedStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	if info.FullMethod == relaypb.Relay_Connect_FullMethodName {
		return next(srv, stream)
	}
	return next(srv, &boundedServerStream{stream, info.FullMethod})
}

type boundedServerStream struct {
	grpc.ServerStream
	method string
}

// RecvMsg implements grpc.ServerStream.
func (s *boundedServerStream) RecvMsg(m any) error {
	if err := s.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	return checkSize(m, s.method)
}

func checkSize(req any, method string) error {
	if m, ok := req.(proto.Message); ok && proto.Size(m) > maxRequest {
		return status.Errorf(codes.ResourceExhausted, "%s: a request has at most %d bytes", method, maxRequest)
	}
	return nil
}
