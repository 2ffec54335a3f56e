package relay

// The names that agents, flows server and users meet by.
const (
	// Namespace is where netpol lives in a cluster.
	Namespace = "netpol-system"
	// Service is the flows server's, and its Deployment's and ServiceAccount's
	// name; Agents is the DaemonSet and ServiceAccount of the agents.
	Service = "netpol-flows"
	Agents  = "netpol-agent"
	// Authority is the Secret with the flows server's CA, and the ConfigMap with
	// the CA's certificates (AuthorityKey) that clients trust.
	Authority    = "netpol-flows-ca"
	AuthorityKey = "ca.crt"
	// Audience is whom tokens are for that only the flows server is to take.
	Audience = "netpol-flows"
	// Readers is the ServiceAccount that stands for users who have no token.
	Readers = "netpol-flows-reader"
	// Organization is in the certificates of agents.
	Organization = "netpol-agent"
)

// ServerName is the name in a flows server's certificate.
func ServerName(namespace, service string) string { return service + "." + namespace + ".svc" }
