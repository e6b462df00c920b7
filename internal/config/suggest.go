package config

import "fmt"

// known reports whether there is such a key.
func known(key string) bool {
	for _, f := range keys {
		if f.key == key {
			return true
		}
	}
	return false
}

// suggest names the key that was probably meant, as the rest of a sentence; ""
// if none is near.
func suggest(written string) string {
	if len(written) > 64 {
		return ""
	}
	best, nearest := "", 4
	for _, f := range keys {
		if d := distance(written, f.key); d < nearest {
			best, nearest = f.key, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %s?", best)
}

// distance is the number of letters to insert, delete or replace to get from a
// to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
