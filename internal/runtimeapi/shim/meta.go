package shim

import (
	"encoding/json"
	"strconv"

	"mayfly.dev/mayfly/internal/invocation"
)

// appendMeta appends the meta of an invoke frame: docs/runtime-contract.md has
// its fields.
func appendMeta(b []byte, inv *invocation.Invocation) []byte {
	b = append(b, `{"requestId":`...)
	b = appendString(b, inv.ID)
	b = append(b, `,"deadline":`...)
	b = strconv.AppendInt(b, inv.Deadline.UnixMilli(), 10)
	b = append(b, `,"arn":`...)
	b = appendString(b, inv.ARN)
	if inv.TraceID != "" {
		b = append(b, `,"traceId":`...)
		b = appendString(b, inv.TraceID)
	}
	if len(inv.ClientContext) > 0 {
		b = append(b, `,"clientContext":`...)
		b = appendString(b, string(inv.ClientContext))
	}
	if len(inv.CognitoIdentity) > 0 {
		b = append(b, `,"cognitoIdentity":`...)
		b = appendString(b, string(inv.CognitoIdentity))
	}
	return append(b, '}')
}

// appendString appends s as a JSON string. What ids and ARNs are made of is
// copied; the rest is left to encoding/json.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil { // a string always marshals
				panic(err)
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
