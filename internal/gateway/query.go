package gateway

import (
	"bytes"
	"net/url"
	"slices"
)

// scanned is up to how many parameters are looked up one after the other.
const scanned = 16

// parameters are those of a query string in their order, each once.
type parameters struct {
	names, values [][]byte
	index         map[string]int // of the names, when there are many
}

// appendQuery writes queryStringParameters if there are any: decoded, repeated
// values joined by commas. What can't be decoded is passed on as it is.
func appendQuery(b, raw []byte) []byte {
	if len(raw) == 0 {
		return b
	}
	var few [2][scanned][]byte
	p := parameters{names: few[0][:0], values: few[1][:0]}
	for pair := range bytes.SplitSeq(raw, []byte("&")) {
		if len(pair) > 0 {
			name, value, _ := bytes.Cut(pair, []byte("="))
			p.add(unescape(name), unescape(value))
		}
	}
	if len(p.names) == 0 {
		return b
	}
	b = append(b, `,"queryStringParameters":{`...)
	for i, name := range p.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, name), ':')
		b = appendString(b, p.values[i])
	}
	return append(b, '}')
}

func (p *parameters) add(name, value []byte) {
	if i := p.find(name); i >= 0 {
		p.values[i] = append(append(p.values[i], ','), value...)
		return
	}
	p.names, p.values = append(p.names, name), append(p.values, slices.Clip(value))
	if p.index != nil {
		p.index[string(name)] = len(p.names) - 1
	}
}

func (p *parameters) find(name []byte) int {
	if len(p.names) <= scanned {
		return slices.IndexFunc(p.names, func(n []byte) bool { return bytes.Equal(n, name) })
	}
	if p.index == nil {
		p.index = make(map[string]int)
		for i, n := range p.names {
			p.index[string(n)] = i
		}
	}
	if i, ok := p.index[string(name)]; ok {
		return i
	}
	return -1
}

func unescape(s []byte) []byte {
	if bytes.IndexByte(s, '%') < 0 && bytes.IndexByte(s, '+') < 0 {
		return s
	}
	if decoded, err := url.QueryUnescape(string(s)); err == nil {
		return []byte(decoded)
	}
	return s
}
