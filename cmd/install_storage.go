package cmd

import (
	"context"

	"github.com/netpol-project/netpol/internal/cli"
	site "github.com/netpol-project/netpol/internal/cluster/install"
	"github.com/netpol-project/netpol/internal/install"
)

// storage sets what the flags of the flows server's claim say.
func (o *InstallOptions) storage(v *install.Values) error {
	const try = "netpol install --storage 8Gi --storage-class NAME"
	s := &v.Flows.Storage
	if o.Storage != "" {
		s.Size = o.Storage
	}
	switch {
	case o.StorageClass != "" && s.Size == "":
		return cli.Usage(try, "--storage-class is for --storage")
	case o.StorageClass != "":
		s.Class = o.StorageClass
	}
	if o.Storage != "" && !v.Flows.Enabled {
		return cli.Usage(try, "--storage is for the flows server, which the settings leave out")
	}
	if err := v.Validate(); err != nil {
		return cli.Usage(try, "%v", err)
	}
	return nil
}

// checkStorage refuses a claim that can't be had, before anything is changed.
func (o *InstallOptions) checkStorage(ctx context.Context, client *site.Client, v *install.Values) error {
	want := v.Flows.Storage
	if !v.Flows.Enabled {
		want = install.Storage{}
	}
	unused, err := client.Storage(ctx, &want)
	if err != nil {
		return err
	}
	if unused {
		o.IO.ErrPrinter().Printf("note: the claim %s/%s, in which flows were kept, is not used without --storage, and stays\n", install.Namespace, install.ClaimName)
	}
	if v.Flows.Enabled {
		v.Flows.Storage = want
	}
	return nil
}
