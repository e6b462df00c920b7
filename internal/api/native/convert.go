package native

import (
	"reflect"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/telemetry"
)

// show returns f as the API shows it, with warnings about its runtime.
func (a *API) show(f *function.Function) wire.Function {
	v := f.Newest()
	w := wire.Function{
		Namespace: f.Namespace, Name: f.Name,
		ARN:   function.ARN{Partition: "aws", Region: a.cfg.Region, Account: a.cfg.Account(f.Namespace), Name: f.Name}.String(),
		State: string(f.State), StateReason: f.StateReason,
		Updating: f.Next != nil, UpdateFailure: f.UpdateFailure,
		Settings: showSettings(&v.Settings), Code: wire.Code{SHA256: v.Code.SHA256, SizeBytes: v.Code.SizeBytes},
		Revision: v.Revision, URL: a.showURL(f.URL), ReservedConcurrency: f.ReservedConcurrency,
		Tags: f.Tags, Created: f.Created.UTC(), Modified: v.Modified.UTC(),
	}
	switch r, err := a.cfg.Runtimes.Resolve(v.Runtime); {
	case err != nil:
		w.Warnings = append(w.Warnings, fault.From(err).Detail)
	case r.Warning != "":
		w.Warnings = append(w.Warnings, r.Warning)
	}
	return w
}

func showSettings(s *function.Settings) wire.Settings {
	return wire.Settings{
		Runtime: s.Runtime, Handler: s.Handler, Description: s.Description, Role: s.Role,
		Architecture: s.Architecture, MemoryMB: s.MemoryMB, TimeoutSeconds: s.Timeout.Seconds(),
		EphemeralMB: s.EphemeralMB, Env: s.Env,
		Egress:             &wire.Egress{Mode: string(s.Egress.Mode), Allow: s.Egress.Allow},
		IdleTimeoutSeconds: s.IdleTimeout.Seconds(), Concurrency: s.Concurrency,
		MinEnvironments: s.MinEnvironments, MaxEnvironments: s.MaxEnvironments,
		QueueTimeoutSeconds: s.QueueTimeout.Seconds(),
		TracingMode:         s.TracingMode, LogFormat: s.LogFormat, LogGroup: s.LogGroup,
	}
}

// settings returns checked settings with the defaults filled in.
func settings(w wire.Settings) (function.Settings, error) {
	s := function.Settings{
		Runtime: w.Runtime, Handler: w.Handler, Description: w.Description, Role: w.Role,
		Architecture: w.Architecture, MemoryMB: w.MemoryMB, Timeout: seconds(w.TimeoutSeconds),
		EphemeralMB: w.EphemeralMB, IdleTimeout: seconds(w.IdleTimeoutSeconds), Concurrency: w.Concurrency,
		MinEnvironments: w.MinEnvironments, MaxEnvironments: w.MaxEnvironments,
		QueueTimeout: seconds(w.QueueTimeoutSeconds),
		TracingMode:  w.TracingMode, LogFormat: w.LogFormat, LogGroup: w.LogGroup,
	}
	if len(w.Env) > 0 {
		s.Env = w.Env
	}
	if w.Egress != nil {
		s.Egress.Mode = function.EgressMode(w.Egress.Mode)
		s.Egress.Allow = slices.Clip(w.Egress.Allow)
	}
	s.Fill()
	return s, s.Check()
}

// maxSeconds is about what a [time.Duration] can hold; the bounds of settings
// are far below.
const maxSeconds = 9e9

func seconds(n float64) time.Duration {
	return time.Duration(min(max(n, -maxSeconds), maxSeconds) * float64(time.Second))
}

// same reports whether two settings make equal environments.
func same(a, b function.Settings) bool {
	for _, s := range []*function.Settings{&a, &b} {
		if len(s.Env) == 0 {
			s.Env = nil
		}
		if len(s.Egress.Allow) == 0 {
			s.Egress.Allow = nil
		}
	}
	return reflect.DeepEqual(a, b)
}

func (a *API) showURL(u *function.URL) *wire.URL {
	if u == nil {
		return nil
	}
	w := &wire.URL{
		ID: u.ID, Address: a.cfg.URLAddress(u.ID), AuthType: u.AuthType, InvokeMode: u.InvokeMode,
		Created: u.Created.UTC(), Modified: u.Modified.UTC(),
	}
	if u.CORS != nil {
		c := wire.CORS(*u.CORS)
		w.CORS = &c
	}
	return w
}

func showLine(l telemetry.Line) wire.Line {
	return wire.Line{
		Time: l.Time.UTC(), RequestID: l.RequestID, Environment: l.Environment,
		Stream: l.Stream, Text: l.Text, Cursor: numberCursor(lineCursor, l.Cursor),
	}
}

func showRecord(r *invocation.Record) wire.Record {
	return wire.Record{
		RequestID: r.RequestID, Namespace: r.Namespace, Function: r.Function, Version: r.Version,
		Revision: r.Revision, Environment: r.Environment, Trigger: r.Trigger, Received: r.Received.UTC(),
		Outcome: r.Outcome, ErrorType: r.ErrorType, ErrorMessage: r.ErrorMessage,
		ColdStart: r.ColdStart, ColdStartReason: r.ColdStartReason,
		QueueMs: milliseconds(r.Queue), SandboxMs: milliseconds(r.Sandbox),
		RuntimeMs: milliseconds(r.Runtime), LoadMs: milliseconds(r.Load), InitMs: milliseconds(r.Init),
		DurationMs: milliseconds(r.Duration), BilledMs: milliseconds(r.Billed), CPUMs: milliseconds(r.CPU),
		MemoryMB: r.MemoryMB, PeakMemoryBytes: r.PeakMemoryBytes,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes, TraceID: r.TraceID,
	}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
