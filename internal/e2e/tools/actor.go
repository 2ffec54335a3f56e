//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"

	"github.com/miekg/dns"

	"github.com/netpol-project/netpol/internal/lab/actor"
)

// actorEnv carries an actor's configuration, but for the DNS server, which is
// the pod's.
const actorEnv = "ACTOR"

// runActor is the actor of the lab in a pod of a real cluster: it does what
// the pod's annotations say and writes each attempt to standard output.
func runActor(ctx context.Context, _ []string) error {
	var config actor.Config
	if err := json.Unmarshal([]byte(os.Getenv(actorEnv)), &config); err != nil {
		return fmt.Errorf("$%s: %w", actorEnv, err)
	}
	resolv, err := dns.ClientConfigFromFile("/etc/resolv.conf")
	if err != nil {
		return err
	}
	config.Search = resolv.Search
	for _, server := range resolv.Servers {
		address, err := netip.ParseAddr(server)
		if err != nil {
			return err
		}
		config.DNS = append(config.DNS, address)
	}
	line, err := json.Marshal(config)
	if err != nil {
		return err
	}
	// The end of the input is the end of the pod.
	rest, end := io.Pipe()
	context.AfterFunc(ctx, func() { _ = end.Close() })
	return actor.Run(ctx, io.MultiReader(strings.NewReader(string(line)+"\nbegin\n"), rest), os.Stdout)
}
