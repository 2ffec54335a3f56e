package output

// Sparkline draws counts as a row of bars, one each, as high as they are beside
// the greatest. What is 0 is lower than anything that is not. It is for
// terminals: everywhere else the numbers say more.
func Sparkline(counts []int64) string {
	bars := []rune("▂▃▄▅▆▇█")
	var most int64
	for _, n := range counts {
		most = max(most, n)
	}
	out := make([]rune, len(counts))
	for i, n := range counts {
		if out[i] = '▁'; n > 0 {
			out[i] = bars[(n*int64(len(bars))-1)/most]
		}
	}
	return string(out)
}
