package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// settings are the flags that may also come from the environment (NETPOL_DIR)
// and from the configuration file (dir: …). What does something rather than
// says where or how (--force, --enforce) must be typed.
var settings = []string{"namespace", "all-namespaces", "dir", "lab", "context", "kubeconfig", "request-timeout", "output", "since"}

// NewConfig is a viper that reads NETPOL_* and the configuration file:
// $NETPOL_CONFIG, or else netpol/config.yaml in the user's configuration
// directory, if it exists.
func NewConfig() (*viper.Viper, error) {
	v := viper.New()
	v.SetEnvPrefix("NETPOL")
	v.SetEnvKeyReplacer(strings.NewReplacer("-", "_"))
	v.AutomaticEnv()
	v.SetConfigType("yaml")
	file, chosen := os.LookupEnv("NETPOL_CONFIG")
	if !chosen || file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return v, nil // no home, no file
		}
		file, chosen = filepath.Join(dir, "netpol", "config.yaml"), false
	}
	v.SetConfigFile(file)
	err := v.ReadInConfig()
	switch {
	case errors.Is(err, fs.ErrNotExist) && !chosen:
		return v, nil
	case err != nil:
		return v, &Error{What: "the configuration file can't be read", Where: []string{file + ": " + err.Error()}, Try: "correct it, or the same with NETPOL_CONFIG=" + os.DevNull, Err: err}
	}
	for _, key := range v.AllKeys() {
		if !slices.Contains(settings, key) {
			return v, &Error{
				What:  fmt.Sprintf("the configuration file has an unknown setting %q", key),
				Where: []string{file, "settings: " + strings.Join(settings, ", ")},
				Try:   "correct it, or the same with NETPOL_CONFIG=" + os.DevNull,
			}
		}
	}
	return v, nil
}

// AddGlobalFlags gives every command under root the flags that say where to
// look, and binds them to the configuration.
func AddGlobalFlags(root *cobra.Command, v *viper.Viper) error {
	fs := root.PersistentFlags()
	fs.StringSliceP("namespace", "n", nil, "namespace to look at (also --ns)")
	fs.BoolP("all-namespaces", "A", false, "look at all namespaces")
	fs.String("dir", "", "directory of manifests to work on, instead of a lab or a cluster")
	fs.String("lab", "default", "name of the lab to work on")
	fs.String("context", "", "kubeconfig context of the cluster to work on")
	fs.String("kubeconfig", "", "kubeconfig file of the cluster to work on")
	fs.String("request-timeout", "30s", "how long to wait for an answer of the API server (30s, 2m; 0: for ever)")
	fs.String("as", "", "user to act as on the cluster")
	fs.StringArray("as-group", nil, "group to act as on the cluster; may be repeated")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "ns" {
			name = "namespace"
		}
		return pflag.NormalizedName(name)
	})
	return v.BindPFlags(fs)
}

// ApplyConfig sets the flags of cmd that were not typed from the environment
// and the configuration file. A value that this command has no use for (an
// output format it lacks, say) is passed over. What was typed wins over what
// was set and means the opposite: -A over a namespace, --lab over a directory.
func ApplyConfig(cmd *cobra.Command, v *viper.Viper) error {
	typed := func(name string) bool {
		flag := cmd.Flags().Lookup(name)
		return flag != nil && flag.Changed
	}
	for _, pair := range [][2]string{{"dir", "lab"}, {"dir", "context"}, {"dir", "kubeconfig"}, {"lab", "context"}, {"lab", "kubeconfig"}} {
		if typed(pair[0]) && typed(pair[1]) {
			return Usage("", "--%s and --%s can't be given together", pair[0], pair[1])
		}
	}
	if typed("dir") && v.GetString("dir") == "" { // a variable that is not set, most likely
		return Usage("", "--dir is empty: it needs a directory")
	}
	if typed("namespace") && strings.Trim(strings.Join(v.GetStringSlice("namespace"), ""), ", ") == "" {
		return Usage("", "-n is empty: it needs a namespace; -A means all")
	}
	if typed("flows") && cmd.Flag("flows").Value.String() == "" {
		return Usage("", "--flows is empty: it needs a file, - or the address of a server")
	}
	for _, pair := range [][2]string{{"all-namespaces", "namespace"}, {"namespace", "all-namespaces"}, {"lab", "dir"},
		{"context", "dir"}, {"kubeconfig", "dir"}, {"lab", "context"}, {"lab", "kubeconfig"}} {
		if typed(pair[0]) && !typed(pair[1]) {
			v.Set(pair[1], map[string]any{"namespace": []string{}, "all-namespaces": false, "dir": "", "context": "", "kubeconfig": ""}[pair[1]])
		}
	}
	for _, name := range settings {
		flag := cmd.Flags().Lookup(name)
		if name == "output" && flag != nil && flag.Value.Type() != "format" {
			continue // a file, and no format
		}
		if flag == nil || flag.Changed || !v.IsSet(name) || cmd.InheritedFlags().Lookup(name) != nil {
			continue
		}
		if err := flag.Value.Set(v.GetString(name)); err == nil {
			flag.Changed = true
		}
	}
	return nil
}
