package output

import "strings"

// longestWords are the lengths of the longest word that is kept whole, tried in
// this order until a table fits.
var longestWords = [...]int{24, 16, 12, 8}

// fit takes columns from the widths they would like (natural) down to total in
// all, the widest first, and none below its minimum. ok is false if that can't
// be.
func fit(natural, minimum []int, total int) (widths []int, ok bool) {
	out := append([]int(nil), natural...)
	sum := 0
	for _, w := range out {
		sum += w
	}
	for sum > total {
		widest := -1
		for i, w := range out {
			if w > minimum[i] && (widest < 0 || w > out[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return nil, false
		}
		out[widest]--
		sum--
	}
	return out, true
}

// wordWidth is the width below which a text can't be without tearing a word,
// or longest if it has longer ones.
func wordWidth(text string, longest int) int {
	widest := 0
	for _, word := range strings.Split(text, " ") {
		widest = max(widest, runes(word))
	}
	return min(widest, longest)
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
