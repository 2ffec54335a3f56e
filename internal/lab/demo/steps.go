package demo

import (
	"strings"
	"time"
)

// flowTime is how long what the actors do may take to show in reports: seconds,
// and more where the machine has much else to do.
const flowTime = 30 * time.Second

// needed are the connections between workloads that the Voting App makes.
func needed() []string {
	return []string{
		"vote/result → kube-system/coredns:53",
		"vote/result → vote/db:5432",
		"vote/vote → kube-system/coredns:53",
		"vote/vote → vote/redis:6379",
		"vote/worker → kube-system/coredns:53",
		"vote/worker → vote/db:5432",
		"vote/worker → vote/redis:6379",
	}
}

// wouldBlock are the flows that the default deny would block: what is needed,
// and the client outside.
func wouldBlock() []string {
	return append(needed(), "198.51.100.10 → vote/result:80", "198.51.100.10 → vote/vote:80")
}

// steps is the workshop.
func steps() []step {
	return []step{
		labUp(),
		probeOpen(),
		stageDeny(),
		reportDeny(),
		protectByHand(),
		recommendOne(),
		recommendRest(),
		enforceDeny(),
		explainWhy(),
	}
}

func labUp() step {
	return step{
		title: "Two applications on one node",
		say: `A lab is a node on this machine, made of namespaces; nothing of its network is
touched. It runs the Example Voting App and WordPress: each pod listens on its
ports, looks names up and makes the connections that the application makes. A
client outside votes and looks at the results.`,
		acts: []act{{
			args:   words("lab up -f examples/vote -f examples/wordpress"),
			proves: "every pod reaches what it needs",
			check:  eventually(flowTime, working(1)),
		}},
	}
}

func probeOpen() step {
	return step{
		title: "Who can reach whom?",
		say: `There is no policy, so everything can reach everything: real connections, from
every pod to every port.`,
		acts: []act{{
			args:   words("probe"),
			proves: "all pairs connect, and the probes stay out of the flows that reports use",
			check:  all(connects(), eventually(flowTime, probesStayOut)),
		}},
	}
}

func stageDeny() step {
	return step{
		title: "Stage a default deny",
		say:   `A staged policy is judged, but blocks nothing.`,
		acts: []act{
			{args: words("stage default-deny --ns vote")},
			{args: words("probe --expect allow"), proves: "still everything connects", check: connects()},
		},
	}
}

func reportDeny() step {
	return step{
		title: "What would it block?",
		say:   `The agent judges every connection that it sees by the staged policies too.`,
		acts: []act{{
			args:   words("report default-deny --ns vote"),
			proves: "the report has every flow that the application needs, DNS included, and nothing else",
			check:  eventually(flowTime, reports("default-deny", wouldBlock()...)),
		}},
	}
}

func protectByHand() step {
	return step{
		title: "Protect the database by hand",
		say:   `A tier for the platform team comes first; its policy says who may reach db.`,
		acts: []act{
			{args: words("tier create platform --before default")},
			{args: []string{
				"create", "policy", "db", "--ns", "vote", "--tier", "platform", "--selector", "app == 'db'",
				"--ingress", "allow tcp:5432 from app == 'worker' || app == 'result'",
			}},
			{args: words("enforce db --ns vote")},
			{
				args:   words("probe --to vote/db"),
				proves: "worker and result reach db, WordPress no longer does",
				check: all(
					connects("--from", "worker", "--to", "vote/db"), connects("--from", "result", "--to", "vote/db"),
					blocked("db", "--from", "wordpress/wordpress", "--to", "vote/db"),
					blocked("db", "--from", "mysql", "--to", "vote/db"),
				),
			},
		},
	}
}

func recommendOne() step {
	return step{
		title: "Let netpol write the next one",
		say:   `From the flows it saw, netpol recommends the policy for redis.`,
		acts: []act{
			{args: words("recommend --ns vote --workload redis")},
			{args: words("recommend --ns vote --workload redis --enforce"), proves: "it is enforced", check: inTier("redis", "default")},
			{args: words("policy move redis --ns vote --tier platform"), proves: "it is in tier platform now", check: inTier("redis", "platform")},
		},
	}
}

func recommendRest() step {
	return step{
		title: "And all the others",
		say:   `Too early, the default deny is refused.`,
		acts: []act{
			{args: words("enforce default-deny --ns vote"), exit: 1, proves: "nothing was enforced", check: connects("--from", "worker", "--to", "redis")},
			{say: "\nSo recommend what is missing, name look-ups included.", args: words("recommend --ns vote --enforce")},
			{
				args:   words("report default-deny --ns vote --exit-code=blocked"),
				proves: "0 would be blocked",
				check:  eventually(flowTime, nothingWouldBreak("default-deny")),
			},
		},
	}
}

func enforceDeny() step {
	return step{
		title: "Close the namespace",
		acts: []act{
			{args: words("enforce default-deny --ns vote"), proves: "the application still works, without a failure", check: stillWorking},
			{args: words("connectivity -o json"), into: "expected.json"},
			{
				args:   words("probe --expect ./expected.json"),
				proves: "only what is needed connects, and the network agrees with the model on every pair",
				check:  all(onlyNeeded("vote", needed()...), agrees),
			},
		},
		say: `Now nothing would break.`,
	}
}

func explainWhy() step {
	return step{
		title: "Why?",
		say:   `netpol names the rule that decides.`,
		acts: []act{{
			args:   words("explain wordpress/wordpress vote/db:5432"),
			exit:   1, // the answer is no
			proves: "it was denied in the tier platform, before the default deny was asked",
			check:  blocked("db", "--from", "wordpress/wordpress", "--to", "vote/db"),
		}},
	}
}

// words splits a command line without quotes.
func words(s string) []string { return strings.Fields(s) }
