package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// Cell is one field of a table, or a word of a line.
type Cell struct {
	Text  string
	Style Style
	// Whole: its words stay on one line where the terminal has room for that.
	Whole bool
	// Cut: where the terminal has not the room, its end is left out (…) rather
	// than that it takes several lines.
	Cut bool
}

// Table collects rows and prints them at the end.
type Table struct {
	p       *Printer
	columns []string
	rows    [][]Cell
	spare   []string
	left    []string
	short   bool
}

// Table starts a table. Columns are in capitals; put the one whose text may be
// long or have blanks (a selector, a sentence) last.
func (p *Printer) Table(columns ...string) *Table {
	return &Table{p: p, columns: columns}
}

// Row adds a row. Fields are Cells, or anything else, printed with %v. Missing
// fields and empty ones show as "-", so that columns can be counted.
func (t *Table) Row(fields ...any) {
	row := make([]Cell, len(t.columns))
	for i := range row {
		if i < len(fields) {
			if c, ok := fields[i].(Cell); ok {
				row[i] = c
			} else {
				row[i] = Cell{Text: fmt.Sprint(fields[i])}
			}
		}
		row[i].Text = printable(row[i].Text)
		if row[i].Text == "" {
			row[i].Text = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// Optional leaves a column out if no row so far says anything in it.
func (t *Table) Optional(column string) {
	i := slices.Index(t.columns, column)
	if i < 0 || slices.ContainsFunc(t.rows, func(r []Cell) bool { return r[i].Text != "-" }) {
		return
	}
	t.remove(i)
}

func (t *Table) remove(i int) {
	t.columns = slices.Delete(slices.Clone(t.columns), i, i+1)
	for j := range t.rows {
		t.rows[j] = slices.Delete(t.rows[j], i, i+1)
	}
}

// Shortened says that Print left the end of some cell out (Cell.Cut).
func (t *Table) Shortened() bool { return t.short }

// Len is the number of rows so far.
func (t *Table) Len() int { return len(t.rows) }

// Print writes the table: in a pipe columns are padded with blanks and
// separated by three; on a terminal they fit its width, if words can stay whole.
func (t *Table) Print() error {
	if t.p.Width == 0 {
		return t.printPlain()
	}
	return t.printTerminal()
}

func (t *Table) printPlain() error {
	widths := t.measure(cellWidth)
	var b strings.Builder
	line := func(cells []Cell) {
		for i, c := range cells {
			text := t.p.paint(c.Style, c.Text)
			b.WriteString(text)
			if i < len(cells)-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-lipgloss.Width(text)+gap))
			}
		}
		b.WriteByte('\n')
	}
	line(t.header())
	for _, r := range t.rows {
		line(r)
	}
	_, err := t.p.W.Write([]byte(b.String()))
	return err
}

// gap is the number of blanks between columns in a pipe, narrowGap on a
// terminal.
const (
	gap       = 3
	narrowGap = 2
)

func (t *Table) printTerminal() error {
	t.shed()
	widths, ok := t.fit()
	if !ok {
		return t.printPlain() // too much for it: let the terminal break lines
	}
	w := tablewriter.NewTable(t.p.W,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders: tw.BorderNone,
			Settings: tw.Settings{
				Separators: tw.SeparatorsNone,
				Lines:      tw.LinesNone,
			},
		})),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoWrap(tw.WrapNone),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
		tablewriter.WithHeaderPaddingPerColumn(t.paddings()),
		tablewriter.WithRowPaddingPerColumn(t.paddings()),
	)
	w.Header(t.render(t.header(), widths))
	for _, r := range t.rows {
		if err := w.Append(t.render(r, widths)); err != nil {
			return fmt.Errorf("output: %w", err)
		}
	}
	return w.Render()
}

// fit finds widths for the columns, tearing as few words as can be. One column
// of the terminal stays free: some break a line that fills them all.
func (t *Table) fit() (widths []int, ok bool) {
	natural, total := t.measure(cellWidth), t.p.Width-1-narrowGap*(len(t.columns)-1)
	for _, longest := range longestWords {
		minimum := t.measure(func(c Cell) int {
			if c.Whole || c.Cut {
				return min(cellWidth(c), longest)
			}
			return wordWidth(c.Text, longest)
		})
		if widths, ok := fit(natural, minimum, total); ok {
			return widths, true
		}
	}
	return nil, false
}

// paddings separate the columns; nothing follows the last, which may reach the
// terminal's edge.
func (t *Table) paddings() []tw.Padding {
	out := make([]tw.Padding, len(t.columns))
	for i := range out {
		out[i] = tw.Padding{Right: strings.Repeat(" ", narrowGap), Overwrite: true}
	}
	out[len(out)-1] = tw.PaddingNone
	return out
}

func (t *Table) header() []Cell {
	out := make([]Cell, len(t.columns))
	for i, c := range t.columns {
		out[i] = Cell{Text: c, Style: Strong}
	}
	return out
}

func cellWidth(c Cell) int { return lipgloss.Width(c.Text) }

// measure is the greatest measure of each column's cells.
func (t *Table) measure(of func(Cell) int) []int {
	widths := make([]int, len(t.columns))
	for _, r := range append([][]Cell{t.header()}, t.rows...) {
		for i, c := range r {
			widths[i] = max(widths[i], of(c))
		}
	}
	return widths
}

// render wraps each cell to its column's width and paints it.
func (t *Table) render(cells []Cell, widths []int) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		lines := wrap(c.Text, widths[i])
		if c.Cut && len(lines) > 1 {
			lines, t.short = []string{string([]rune(c.Text)[:widths[i]-1]) + "…"}, true
		}
		for j := range lines {
			lines[j] = t.p.paint(c.Style, lines[j])
		}
		out[i] = strings.Join(lines, "\n")
	}
	return out
}
