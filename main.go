// Netpol takes a namespace from "everything is allowed" to "only what is
// needed is allowed" without breaking it.
//
// An idle agent does not wake up every second to count the processors.
//
//go:debug updatemaxprocs=0
package main

import (
	"os"

	"github.com/netpol-project/netpol/cmd"
)

func main() { os.Exit(cmd.Main()) }
