package cmd

import (
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/recording"
)

// recorded adds to the world what a recording knows of it, and tells if it was
// cut off.
func (w *world) recorded(f *cli.Factory, source flow.Source) {
	rec, ok := source.(*recording.Source)
	if !ok {
		return
	}
	if w.own == nil {
		w.own = w.snap
	}
	w.snap = w.own.WithWorld(rec.World())
	if note := rec.Note(); note != "" {
		f.IO.ErrPrinter().Printf("note: %s\n", note)
	}
}
