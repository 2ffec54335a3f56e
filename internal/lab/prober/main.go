package prober

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// Input is what a prober process is told, as JSON on its standard input.
type Input struct {
	// AgentSocket is empty where there is no agent.
	AgentSocket string `json:"agentSocket,omitempty"`
	// Relay: whoever writes the input answers for the agent; see Drive.
	Relay   bool          `json:"relay,omitempty"`
	Timeout time.Duration `json:"timeout"` // of each attempt, nanoseconds
	Tasks   []Task        `json:"tasks"`
}

// Main is a prober process: it carries out the tasks of its input and writes
// the outcomes.
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	var input Input
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	if err := dec.Decode(&input); err != nil {
		return fmt.Errorf("read what to probe: %w", err)
	}
	switch {
	case input.Relay:
		agent := newRelayed(dec, enc)
		return agent.finish(Run(ctx, agent, input.Tasks, input.Timeout))
	case input.AgentSocket != "":
		conn, err := flow.DialUnix(input.AgentSocket)
		if err != nil {
			return err
		}
		defer conn.Close()
		agent := NewClient(agentpb.NewAgentClient(conn), nil)
		return enc.Encode(message{Outcomes: Run(ctx, agent, input.Tasks, input.Timeout), Done: true})
	}
	return enc.Encode(message{Outcomes: Run(ctx, nil, input.Tasks, input.Timeout), Done: true})
}

// Outcomes reads what a prober process without a relay wrote.
func Outcomes(data []byte) ([]Outcome, error) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil {
		return nil, err
	}
	if !m.Done {
		return nil, io.ErrUnexpectedEOF
	}
	return m.Outcomes, nil
}
