package gateway

import (
	"encoding/base64"
	"slices"
)

// The functions of this file write a body out where it lies, from its end to its
// front: what is written out is never shorter than what it stands for, so the
// part that is still to be read is never overwritten. A body of megabytes needs
// its memory once.

// escapeTail makes b[from:], which is UTF-8, the inside of a JSON string.
func escapeTail(b []byte, from int) []byte {
	more := 0
	for _, c := range b[from:] {
		more += int(escapeCost[c])
	}
	if more == 0 {
		return b
	}
	read := len(b)
	b = slices.Grow(b, more)[:read+more]
	write := len(b)
	for read < write {
		plain := read
		for escapeCost[b[plain-1]] == 0 {
			plain--
		}
		write -= copy(b[write-(read-plain):write], b[plain:read])
		read = plain - 1
		c := b[read]
		write -= 1 + int(escapeCost[c])
		appendEscape(b[write:write], c)
	}
	return b
}

// escapeCost is how many bytes longer a byte's escape is; 0: it has none.
var escapeCost = func() (cost [256]uint8) {
	for c := range 256 {
		if c < ' ' || c == '"' || c == '\\' {
			cost[c] = uint8(len(appendEscape(nil, byte(c))) - 1)
		}
	}
	return cost
}()

// encodeTail makes b[from:] its base64 text.
func encodeTail(b []byte, from int) []byte {
	const block = 3 << 10 // whole groups of three bytes
	var raw [block]byte
	n := len(b) - from
	b = slices.Grow(b, base64.StdEncoding.EncodedLen(n)-n)[:from+base64.StdEncoding.EncodedLen(n)]
	for at := (n - 1) / block * block; at >= 0 && n > 0; at -= block {
		size := copy(raw[:], b[from+at:from+n])
		base64.StdEncoding.Encode(b[from+at/3*4:], raw[:size])
		n = at
	}
	return b
}
