package prove

import (
	"slices"
	"strings"
)

// Op is what an expression does.
type Op string

// The operations of the selector language (S25).
const (
	OpAll        Op = "all()"
	OpGlobal     Op = "global()"
	OpHas        Op = "has"
	OpEqual      Op = "=="
	OpNotEqual   Op = "!="
	OpIn         Op = "in"
	OpNotIn      Op = "not in"
	OpContains   Op = "contains"
	OpStartsWith Op = "starts with"
	OpEndsWith   Op = "ends with"
	OpNot        Op = "!"
	OpAnd        Op = "&&"
	OpOr         Op = "||"
)

// Expr is a selector as a tree.
type Expr struct {
	Op     Op
	Key    string
	Values []string // one for a comparison, one or more for in and not in
	Kids   []*Expr  // one for !, two or more for && and ||
	// Joined writes "startswith", "endswith" and "notin"; Tight leaves out the
	// spaces that the language does not need; Single quotes with '; Wrapped
	// puts parentheses around the expression. None changes the meaning.
	Joined, Tight, Single, Wrapped bool
}

// Matches says whether labels satisfy the expression (S25).
func (e *Expr) Matches(labels map[string]string) bool {
	value, has := labels[e.Key]
	switch e.Op {
	case OpAll:
		return true
	case OpGlobal:
		return false // no namespace and no pod is global
	case OpHas:
		return has
	// "Absent label: != and not in are true, every other comparison false."
	case OpNotEqual:
		return !has || value != e.Values[0]
	case OpNotIn:
		return !has || !slices.Contains(e.Values, value)
	case OpEqual:
		return has && value == e.Values[0]
	case OpIn:
		return has && slices.Contains(e.Values, value)
	case OpContains:
		return has && strings.Contains(value, e.Values[0])
	case OpStartsWith:
		return has && strings.HasPrefix(value, e.Values[0])
	case OpEndsWith:
		return has && strings.HasSuffix(value, e.Values[0])
	case OpNot:
		return !e.Kids[0].Matches(labels)
	case OpAnd:
		for _, kid := range e.Kids {
			if !kid.Matches(labels) {
				return false
			}
		}
		return true
	default: // OpOr
		for _, kid := range e.Kids {
			if kid.Matches(labels) {
				return true
			}
		}
		return false
	}
}

// String writes the expression with as few parentheses as the precedence of
// S25 allows ("! binds tightest, then &&, then ||"), so that a parser which
// has it otherwise reads something else.
func (e *Expr) String() string {
	if e.Wrapped {
		return "(" + e.bare() + ")"
	}
	return e.bare()
}

func (e *Expr) bare() string {
	switch e.Op {
	case OpAll, OpGlobal:
		return string(e.Op)
	case OpHas:
		return "has(" + e.Key + ")"
	case OpIn, OpNotIn:
		quoted := make([]string, len(e.Values))
		for i, v := range e.Values {
			quoted[i] = e.quote(v)
		}
		return e.Key + " " + e.word() + " {" + strings.Join(quoted, ","+e.space()) + "}"
	case OpNot:
		return "!" + e.space() + e.operand(e.Kids[0], OpAnd, OpOr)
	case OpAnd:
		return e.join(OpOr)
	case OpOr:
		return e.join()
	case OpEqual, OpNotEqual:
		return e.Key + e.space() + string(e.Op) + e.space() + e.quote(e.Values[0])
	default:
		return e.Key + " " + e.word() + " " + e.quote(e.Values[0])
	}
}

// join writes the operands of && or ||, in parentheses where they bind looser.
func (e *Expr) join(looser ...Op) string {
	parts := make([]string, len(e.Kids))
	for i, kid := range e.Kids {
		parts[i] = e.operand(kid, looser...)
	}
	return strings.Join(parts, e.space()+string(e.Op)+e.space())
}

func (e *Expr) operand(kid *Expr, looser ...Op) string {
	if slices.Contains(looser, kid.Op) && !kid.Wrapped {
		return "(" + kid.String() + ")"
	}
	return kid.String()
}

func (e *Expr) word() string {
	if e.Joined {
		return strings.ReplaceAll(string(e.Op), " ", "")
	}
	return string(e.Op)
}

func (e *Expr) space() string {
	if e.Tight {
		return ""
	}
	return " "
}

func (e *Expr) quote(s string) string {
	if e.Single {
		return "'" + s + "'"
	}
	return `"` + s + `"`
}
