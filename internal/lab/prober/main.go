package prober

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Input is what a prober process is told, as JSON on its standard input.
type Input struct {
	// AgentSocket is empty where there is no agent.
	AgentSocket string        `json:"agentSocket,omitempty"`
	Timeout     time.Duration `json:"timeout"` // of each attempt, nanoseconds
	Tasks       []Task        `json:"tasks"`
}

// Main is a prober process: it carries out the tasks of its input and writes
// the outcomes as a JSON list.
func Main(ctx context.Context, in io.Reader, out io.Writer) error {
	var input Input
	if err := json.NewDecoder(in).Decode(&input); err != nil {
		return fmt.Errorf("read what to probe: %w", err)
	}
	var agent Agent
	if input.AgentSocket != "" {
		client, err := Dial(input.AgentSocket)
		if err != nil {
			return err
		}
		defer client.Close()
		agent = client
	}
	return json.NewEncoder(out).Encode(Run(ctx, agent, input.Tasks, input.Timeout))
}
