// Package examples holds the example applications, so that the program has
// them wherever it runs.
package examples

import "embed"

// FS has a directory for each application.
//
//go:embed vote/*.yaml wordpress/*.yaml
var FS embed.FS
