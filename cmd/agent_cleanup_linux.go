package cmd

import "github.com/netpol-project/netpol/pkg/enforce/nft"

// removeRules deletes netpol's tables and tells their names.
func removeRules() ([]string, error) { return nft.Cleanup(nft.Options{}) }
