package flowserver

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

// User is who a token is, as the API server says.
type User struct {
	Name, UID string
	Groups    []string
	Extra     map[string][]string
}

// Access is something that a user may do or not.
type Access struct {
	Verb, Group, Resource, Subresource string
	Namespace, Name                    string
}

// Reviewer asks the API server who somebody is and what they may do.
type Reviewer interface {
	// Token is whose a token is; audience empty is the API server's own. ok is
	// false if it is nobody's.
	Token(ctx context.Context, token, audience string) (u User, ok bool, err error)
	Access(ctx context.Context, u User, a Access) (bool, error)
}

// Pods tells on which node a pod of the agents' DaemonSet runs; ok is false if
// there is no such pod.
type Pods interface {
	NodeOf(pod, uid string) (node string, ok bool)
}

// The extra fields of a ServiceAccount token that tell where it is bound to.
const (
	extraNode = "authentication.kubernetes.io/node-name"
	extraPod  = "authentication.kubernetes.io/pod-name"
	extraUID  = "authentication.kubernetes.io/pod-uid"
)

// maxToken bounds tokens, in bytes.
const maxToken = 32 << 10

// relayServer is what agents talk to.
type relayServer struct {
	relaypb.UnimplementedRelayServer
	hub      *hub
	keeper   *keeper
	reviewer Reviewer
	pods     Pods
	account  string             // system:serviceaccount:NAMESPACE:NAME of the agents
	enrolls  *rates[netip.Addr] // by where they come from
	all      *rate.Limiter      // enrolments
	metrics  *metrics
	log      *slog.Logger
}

// Enroll implements relaypb.RelayServer.
func (s *relayServer) Enroll(ctx context.Context, r *relaypb.EnrollRequest) (*relaypb.EnrollReply, error) {
	node, err := s.whoEnrolls(ctx, r.GetToken())
	if err != nil {
		s.metrics.notEnrolled.Add(1)
		return nil, err
	}
	chain, err := s.keeper.authority().certify(node, r.GetRequest(), s.hub.now())
	if err != nil {
		s.metrics.notEnrolled.Add(1)
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	s.metrics.enrolled.Add(1)
	s.log.Info("enrolled an agent", "node", node)
	return &relaypb.EnrollReply{Chain: chain}, nil
}

func (s *relayServer) whoEnrolls(ctx context.Context, token string) (node string, err error) {
	if token == "" || len(token) > maxToken {
		return "", status.Error(codes.Unauthenticated, "no token")
	}
	if !slices.Contains(audiences(token), relay.Audience) {
		return "", status.Error(codes.Unauthenticated, "the token is not for "+relay.Audience)
	}
	if !s.enrolls.of(peerOf(ctx)).Allow() || !s.all.Allow() {
		return "", status.Error(codes.ResourceExhausted, "too many agents enroll at once")
	}
	s.metrics.reviews.Add(1)
	u, ok, err := s.reviewer.Token(ctx, token, relay.Audience)
	if err != nil {
		s.metrics.reviewErrors.Add(1)
		return "", status.Error(codes.Unavailable, "the API server can't be asked about the token: "+err.Error())
	}
	if !ok {
		return "", status.Error(codes.Unauthenticated, "the token is not valid for "+relay.Audience)
	}
	if u.Name != s.account {
		return "", status.Errorf(codes.PermissionDenied, "%s is not the agents' %s", u.Name, s.account)
	}
	if node := first(u.Extra[extraNode]); node != "" {
		return node, nil
	}
	// API servers before 1.30 don't tell the node, but the pod.
	if node, ok := s.pods.NodeOf(first(u.Extra[extraPod]), first(u.Extra[extraUID])); ok {
		return node, nil
	}
	return "", status.Error(codes.PermissionDenied, "the token is not bound to a pod on a node")
}

func first(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[0]
}

// Connect implements relaypb.RelayServer.
func (s *relayServer) Connect(stream relaypb.Relay_ConnectServer) error {
	node, until, err := agentOf(stream.Context())
	if err != nil {
		return err
	}
	s.log.Info("agent connected", "node", node)
	err = newLine().serve(s.hub, node, until, stream)
	if err != nil && !errors.Is(err, errSuperseded) && stream.Context().Err() == nil {
		s.log.Warn("agent's line ended", "node", node, "error", err)
	}
	return err
}

// agentOf is the node whose agent has called, by its certificate, and until when
// that holds.
func agentOf(ctx context.Context) (node string, until time.Time, err error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", until, errNoAgent
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return "", until, errNoAgent
	}
	leaf := info.State.VerifiedChains[0][0]
	if node = nodeOf(leaf); node == "" {
		return "", until, errNoAgent
	}
	return node, leaf.NotAfter, nil
}

var errNoAgent = status.Error(codes.Unauthenticated, "this is for agents alone, with a certificate that they enrolled for")
