package output

import "strings"

// narrowest is the width that no column is squeezed below.
const narrowest = 8

// fit takes columns from the widths they would like down to total in all, the
// widest first, so that short columns stay whole.
func fit(natural []int, total int) []int {
	out := append([]int(nil), natural...)
	sum := 0
	for _, w := range out {
		sum += w
	}
	for sum > total {
		widest := 0
		for i, w := range out {
			if w > out[widest] {
				widest = i
			}
		}
		if out[widest] <= narrowest {
			return out // a terminal this narrow wraps by itself
		}
		out[widest]--
		sum--
	}
	return out
}

// wrap breaks text into lines of at most width columns, between words where it
// can. Text is ASCII here: names, selectors, sentences.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Split(text, " ") {
		switch {
		case line == "":
			line = word
		case runes(line)+1+runes(word) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
		for runes(line) > width {
			head, tail := cut(line, width)
			lines, line = append(lines, head), tail
		}
	}
	return append(lines, line)
}

func runes(s string) int { return len([]rune(s)) }

// cut splits a word that is too long, after the last separator that fits.
func cut(word string, width int) (head, tail string) {
	r := []rune(word)
	at := width
	for i := width - 1; i > width/2; i-- {
		if strings.ContainsRune("/-.,_:", r[i]) {
			at = i + 1
			break
		}
	}
	return string(r[:at]), string(r[at:])
}
