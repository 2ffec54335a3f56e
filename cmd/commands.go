package cmd

import (
	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
)

// addCommands adds every command, in the order in which help lists them.
func addCommands(root *cobra.Command, f *cli.Factory) {
	root.AddCommand(
		inGroup(groupFlow, NewCmdStage(f, nil)),
		inGroup(groupFlow, NewCmdReport(f, nil)),
		inGroup(groupFlow, NewCmdRecommend(f, nil)),
		inGroup(groupFlow, NewCmdFix(f, nil)),
		inGroup(groupFlow, NewCmdEnforce(f, nil)),
		inGroup(groupFlow, NewCmdConfirm(f, nil)),
		inGroup(groupFlow, NewCmdUnstage(f, nil)),
		inGroup(groupFlow, NewCmdUnenforce(f, nil)),
		inGroup(groupFlow, NewCmdHistory(f, nil)),
		inGroup(groupFlow, NewCmdRollback(f, nil)),
		inGroup(groupLook, NewCmdFlows(f, nil)),
		inGroup(groupLook, NewCmdConnectivity(f, nil)),
		inGroup(groupLook, NewCmdExplain(f, nil)),
		inGroup(groupLook, NewCmdDiff(f, nil)),
		inGroup(groupLook, NewCmdProbe(f, nil)),
		inGroup(groupLook, NewCmdTest(f, nil)),
		inGroup(groupLook, NewCmdGet(f, nil)),
		inGroup(groupPolicy, NewCmdCreate(f)),
		inGroup(groupPolicy, NewCmdPolicy(f)),
		inGroup(groupPolicy, NewCmdTier(f)),
		inGroup(groupPolicy, NewCmdValidate(f, nil)),
		inGroup(groupPolicy, NewCmdApply(f, nil)),
		inGroup(groupPolicy, NewCmdDelete(f, nil)),
		inGroup(groupPolicy, NewCmdAuth(f)),
		inGroup(groupLab, NewCmdInstall(f, nil)),
		inGroup(groupLab, NewCmdUninstall(f, nil)),
		inGroup(groupLab, NewCmdLab(f)),
		inGroup(groupLab, NewCmdStatus(f, nil)),
		inGroup(groupLab, NewCmdAgent(f, nil)),
		inGroup(groupLab, NewCmdFlowsServer(f, nil)),
		inGroup(groupLab, NewCmdCNI(f)),
		NewCmdActor(f),
		NewCmdCompletion(f),
		NewCmdVersion(f, nil),
	)
}
