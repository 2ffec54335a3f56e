package jsonlines

import "time"

// Time reads a time in UTC up to its closing quote: 2026-03-01T12:00:00Z or
// with a fraction of a second.
func Time(b []byte) (at time.Time, rest []byte, ok bool) {
	const form = "2006-01-02T15:04:05"
	if len(b) < len(form)+2 || b[4] != '-' || b[7] != '-' || b[10] != 'T' || b[13] != ':' || b[16] != ':' {
		return at, nil, false
	}
	year, okYear := digits(b[0:4])
	month, okMonth := digits(b[5:7])
	day, okDay := digits(b[8:10])
	hour, okHour := digits(b[11:13])
	minute, okMinute := digits(b[14:16])
	second, okSecond := digits(b[17:19])
	if !okYear || !okMonth || !okDay || !okHour || !okMinute || !okSecond ||
		month < 1 || month > 12 || day < 1 || day > 28 && !lastDay(year, month, day) || hour > 23 || minute > 59 || second > 59 {
		return at, nil, false
	}
	rest, nanos := b[len(form):], 0
	if rest[0] == '.' {
		n := 1
		for ; n < len(rest) && n <= 9 && rest[n] >= '0' && rest[n] <= '9'; n++ {
			nanos = nanos*10 + int(rest[n]-'0')
		}
		if n == 1 {
			return at, nil, false
		}
		for i := n; i <= 9; i++ {
			nanos *= 10
		}
		rest = rest[n:]
	}
	if len(rest) < 2 || rest[0] != 'Z' || rest[1] != '"' {
		return at, nil, false
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC), rest[2:], true
}

// lastDay says whether a month has a day after its 28th.
func lastDay(year, month, day int) bool {
	switch month {
	case 2:
		return day == 29 && year%4 == 0 && (year%100 != 0 || year%400 == 0)
	case 4, 6, 9, 11:
		return day <= 30
	}
	return day <= 31
}

// Plausible says whether a flow can have been seen at a time: within what counts
// of nanoseconds since 1970 tell.
func Plausible(at time.Time) bool { return at.Year() >= 1970 && at.Year() < 2262 }

func digits(b []byte) (n int, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

// TimeValue is the time of a value; false if encoding/json has to decide.
func TimeValue(value []byte) (time.Time, bool) {
	if len(value) == 0 || value[0] != '"' {
		return time.Time{}, false
	}
	at, rest, ok := Time(value[1:])
	return at, ok && len(rest) == 0
}
