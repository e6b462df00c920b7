package shim

import (
	"encoding/json"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

func FuzzMetaSaysWhatTheInvocationHas(f *testing.F) {
	f.Add("0f3c3f1e-6f0c-4f5b-9d1b-2f6f3a0c9b11", int64(1795000000123), "arn:aws:lambda:us-east-1:000000000000:function:hello", "Root=1-5759e988;Sampled=0", "{}", "")
	f.Add("\"\\\n\u2028<>&\x7f", int64(-1), "ü\xff", "", `{"custom":{"k":"v"}}`, "\x00")
	f.Fuzz(func(t *testing.T, id string, deadline int64, arn, trace, client, identity string) {
		deadline %= 1 << 53
		meta := appendMeta(nil, &invocation.Invocation{
			ID: id, ARN: arn, TraceID: trace, Deadline: time.UnixMilli(deadline),
			ClientContext: []byte(client), CognitoIdentity: []byte(identity),
		})
		var got, want map[string]any
		if err := json.Unmarshal(meta, &got); err != nil {
			t.Fatalf("%v: %s", err, meta)
		}
		fields := map[string]any{"requestId": id, "deadline": deadline, "arn": arn}
		for name, value := range map[string]string{"traceId": trace, "clientContext": client, "cognitoIdentity": identity} {
			if value != "" {
				fields[name] = value
			}
		}
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Errorf("fields of %s, want those of %s", meta, b)
		}
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s is %q, want %q", name, got[name], value)
			}
		}
	})
}
