package cmd

import (
	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/install"
)

// cni sets what the flags of the CNI plugin say.
func (o *InstallOptions) cni(v *install.Values) error {
	c := &v.Agent.CNI
	if o.CNI != nil {
		c.Enabled = *o.CNI
	}
	if !c.Enabled && (o.CNIBinDir != "" || o.CNIConfDir != "") {
		return cli.Usage("netpol install --help", "--cni-bin-dir and --cni-conf-dir are for --cni")
	}
	return setCNIDirs(v, o.CNIBinDir, o.CNIConfDir, "netpol install --help")
}

// setCNIDirs sets the directories that are not empty.
func setCNIDirs(v *install.Values, bin, conf, try string) error {
	if bin != "" {
		v.Agent.CNI.BinDir = bin
	}
	if conf != "" {
		v.Agent.CNI.ConfDir = conf
	}
	if err := v.Validate(); err != nil {
		return cli.Usage(try, "%v", err)
	}
	return nil
}
