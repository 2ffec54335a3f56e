package cmd

import (
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
)

// VersionOptions are what version needs.
type VersionOptions struct {
	IO     *cli.Streams
	Format output.Format
	Build  func() (*debug.BuildInfo, bool)
}

// versionReport is version's JSON.
type versionReport struct {
	output.Meta
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
}

// NewCmdVersion is "netpol version".
func NewCmdVersion(f *cli.Factory, runF func(*VersionOptions) error) *cobra.Command {
	opts := &VersionOptions{IO: f.IO, Build: debug.ReadBuildInfo}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Show the version of netpol",
		Args:  exactArgs(),
		RunE: func(*cobra.Command, []string) error {
			if runF != nil {
				return runF(opts)
			}
			return versionRun(opts)
		},
	}
	output.AddFlag(cmd.Flags(), &opts.Format, output.Text, output.JSON, output.YAML)
	return cmd
}

func versionRun(opts *VersionOptions) error {
	report := versionReport{Meta: output.NewMeta("Version"), Version: "unknown", Go: "unknown"}
	if info, ok := opts.Build(); ok {
		report.Version, report.Go = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				report.Revision = s.Value
			case "vcs.modified":
				report.Modified = s.Value == "true"
			}
		}
	}
	if report.Version == "" || report.Version == "(devel)" {
		report.Version = "devel"
	}
	p := opts.IO.Printer()
	if opts.Format.Structured() {
		return p.Object(opts.Format, report)
	}
	p.Printf("netpol %s", report.Version)
	if report.Revision != "" {
		p.Printf(" (%.12s)", report.Revision)
	}
	p.Printf(", %s\n", report.Go)
	return nil
}

// programVersion is the module's version, for status.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
