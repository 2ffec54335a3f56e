package cli

import (
	"errors"
	"net/url"
	"strings"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"

	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// prometheusError is an error of the server as users see it.
func (o FlowsFrom) prometheusError(err error) error {
	out := &Error{What: "Prometheus' flows can't be read", Where: []string{o.From + ": " + prometheusCause(err)}, Err: err}
	var ambiguous *prometheus.AmbiguousError
	var nothing *prometheus.NothingError
	var answer *v1.Error
	switch {
	case errors.As(err, &ambiguous):
		out.Try = `say which agents are meant, by their labels: ?match=cluster="NAME"`
	case errors.As(err, &nothing):
		out.Try = "let the server scrape /metrics of the agents (netpol agent --http), or read more of it: ?range=30d"
	case errors.As(err, &answer) && (strings.HasSuffix(answer.Msg, ": 401") || strings.HasSuffix(answer.Msg, ": 403")):
		out.Try = "--flows-token-file FILE, or prometheus+https://USER@HOST/ with --flows-password-file FILE"
	case errors.As(err, &answer) && (answer.Type == v1.ErrBadResponse || strings.HasSuffix(answer.Msg, ": 404")):
		out.Try = "the address up to /api/v1, where Prometheus answers: prometheus://HOST:9090 or prometheus+https://HOST/PATH"
	case errors.As(err, &answer) && (answer.Type == v1.ErrTimeout || answer.Type == v1.ErrExec || strings.HasSuffix(answer.Msg, ": 503")):
		out.Try = "less at once: ?range=3d, or ?match=… with some of the agents"
	default:
		out.Try = tryPrometheus
	}
	return out
}

// maxCause bounds what is told of an answer, in bytes.
const maxCause = 300

// prometheusCause is why the server did not answer, in one line.
func prometheusCause(err error) string {
	text := err.Error()
	var request *url.Error
	if errors.As(err, &request) {
		text = request.Err.Error()
		if request.Timeout() {
			text = "no answer in time"
		}
	}
	var answer *v1.Error
	if errors.As(err, &answer) && answer.Detail != "" && !strings.HasPrefix(strings.TrimSpace(answer.Detail), "<") {
		text += ": " + answer.Detail
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxCause {
		text = strings.ToValidUTF8(text[:maxCause], "") + "…"
	}
	return text
}
