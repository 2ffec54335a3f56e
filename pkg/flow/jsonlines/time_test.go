package jsonlines

import (
	"testing"
	"time"
)

// TestEveryDayIsReadAlike: Time against time.Parse, over days that are and
// are not in the calendar.
func TestEveryDayIsReadAlike(t *testing.T) {
	for _, year := range []string{"0000", "1900", "2000", "2023", "2024", "2026", "9999"} {
		for month := 0; month <= 13; month++ {
			for day := 0; day <= 32; day++ {
				text := year + "-" + two(month) + "-" + two(day) + "T01:02:03.04Z"
				want, err := time.Parse(time.RFC3339Nano, text)
				got, rest, ok := Time([]byte(text + `",`))
				if ok != (err == nil) || ok && (got != want || string(rest) != ",") {
					t.Errorf("%s: got %v %v, want %v %v", text, got, ok, want, err)
				}
			}
		}
	}
}

func two(n int) string { return string([]byte{byte('0' + n/10), byte('0' + n%10)}) }
