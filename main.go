// Netpol takes a namespace from "everything is allowed" to "only what is
// needed is allowed" without breaking it.
package main

import (
	"os"

	"github.com/netpol-project/netpol/cmd"
)

func main() { os.Exit(cmd.Main()) }
