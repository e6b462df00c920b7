package telemetry

import (
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// streamPlatform is the stream of the lines that the platform writes.
const streamPlatform = "platform"

// lines returns the lines of a log that are not stored but worded from a call's
// record: END and REPORT, and before them START unless user code wrote something,
// whose first line has START before it.
func (r *StoredRecord) lines() []Line {
	if !r.Reported() {
		return nil
	}
	lines := make([]Line, 0, recordCursors)
	word := func(place int64, t time.Time, text string) {
		lines = append(lines, Line{
			Cursor: r.Cursor - recordCursors + 1 + place, Time: t, Namespace: r.Namespace, Function: r.Function,
			RequestID: r.RequestID, Environment: r.Environment, Stream: streamPlatform, Text: text,
		})
	}
	if !r.StartWritten {
		word(0, r.Began, invocation.StartLine(r.RequestID, r.Version))
	}
	word(1, r.Ended(), invocation.EndLine(r.RequestID))
	word(2, r.Ended(), invocation.ReportLine(&r.Record))
	return lines
}

// lines returns the lines of an entry.
func (e stored) lines() []Line {
	if e.line != nil {
		return []Line{*e.line}
	}
	return e.record.lines()
}
