package environment

import (
	"encoding/json"
	"fmt"
	"math"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/telemetry"
)

// call is the invocation that an environment runs, seen from its log.
type call struct {
	inv      *invocation.Invocation
	first    bool // the environment's first call, which waited for its init
	init     bool // the init failed, and the call with it
	duration time.Duration
	tail     *tail // nil: nobody asked
}

// begin makes inv the running call and writes its START line.
func (e *Environment) begin(inv *invocation.Invocation, now time.Time) *call {
	c := &call{inv: inv}
	if inv.WantLogTail {
		c.tail = &tail{}
	}
	e.mu.Lock()
	c.first = e.calls == 0
	e.calls++
	e.current = c
	e.mu.Unlock()
	e.write(c, now, fmt.Sprintf("START RequestId: %s Version: %s", inv.ID, e.Version.Number))
	return c
}

// output receives what user code wrote. A line that names no request belongs to
// the running call.
func (e *Environment) output(l runtimeapi.Line) {
	e.mu.Lock()
	c := e.current
	e.mu.Unlock()
	if c != nil && l.RequestID != "" && l.RequestID != c.inv.ID {
		c = nil // a late line of an earlier call
	}
	if c != nil && l.RequestID == "" {
		l.RequestID = c.inv.ID
	}
	if c != nil && c.tail != nil {
		c.tail.add(string(l.Text))
	}
	e.lines(telemetry.Line{
		Time: l.Time, Namespace: e.Version.Namespace, Function: e.Version.Function,
		RequestID: l.RequestID, Environment: e.ID, Stream: l.Stream, Text: string(l.Text),
	})
}

// write adds one of the platform's lines to the log.
func (e *Environment) write(c *call, now time.Time, text string) {
	if c.tail != nil {
		c.tail.add(text)
	}
	e.lines(telemetry.Line{
		Time: now, Namespace: e.Version.Namespace, Function: e.Version.Function,
		RequestID: c.inv.ID, Environment: e.ID, Stream: "platform", Text: text,
	})
}

// end closes the running call: it completes the result's record and writes what
// failed, END and REPORT. result is nil if the platform failed. crowded says that
// calls have left more processes than the next one should find.
func (e *Environment) end(c *call, result *invocation.Result, cpuBefore time.Duration) (crowded bool) {
	now := time.Now()
	usage := e.usage()
	e.mu.Lock()
	e.current = nil
	e.mu.Unlock()
	billed := c.duration
	if c.first {
		billed += e.Phases.Init
	}
	billed = time.Duration(math.Ceil(float64(billed)/float64(time.Millisecond))) * time.Millisecond
	if result != nil && platformEnded(result.ErrorType) {
		e.write(c, now, message(result.Payload))
	}
	crowded = usage.PIDs > crowdedPIDs
	if crowded {
		e.write(c, now, fmt.Sprintf("%d processes and threads are left in the execution environment, of %d that it may have: "+
			"it serves no further invocation. Wait for the processes that the function starts", usage.PIDs, maxPIDs))
	}
	e.write(c, now, "END RequestId: "+c.inv.ID)
	report := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		c.inv.ID, float64(c.duration)/float64(time.Millisecond), billed.Milliseconds(), e.Version.MemoryMB, megabytes(usage.PeakMemoryBytes))
	if c.first {
		report += fmt.Sprintf("Init Duration: %.2f ms\t", float64(e.Phases.Init)/float64(time.Millisecond))
	}
	if result != nil && result.ErrorType == "Sandbox.Timedout" {
		report += "Status: timeout"
	} else if result != nil && (c.init || platformEnded(result.ErrorType)) {
		report += "Status: error\tError Type: " + result.ErrorType
	}
	e.write(c, now, report)
	if result == nil {
		return crowded
	}
	result.ExecutedVersion = e.Version.Number
	if c.tail != nil {
		result.LogTail = c.tail.bytes()
	}
	result.Record = e.record(c, result, billed)
	result.Record.CPU = max(0, usage.CPU-cpuBefore)
	result.Record.PeakMemoryBytes = usage.PeakMemoryBytes
	return crowded
}

func (e *Environment) record(c *call, result *invocation.Result, billed time.Duration) *invocation.Record {
	r := &invocation.Record{
		RequestID: c.inv.ID, Namespace: e.Version.Namespace, Function: e.Version.Function,
		Version: e.Version.Number, Revision: e.Version.Revision, Environment: e.ID,
		Trigger: c.inv.Trigger, Received: c.inv.Received, TraceID: c.inv.TraceID,
		Duration: c.duration, Billed: billed, MemoryMB: e.Version.MemoryMB,
		RequestBytes: len(c.inv.Payload), ResponseBytes: len(result.Payload),
	}
	if c.first {
		r.ColdStart, r.Sandbox, r.Init = true, e.Phases.Sandbox, e.Phases.Init
	}
	setOutcome(r, result)
	return r
}

// setOutcome fills in how a call ended.
func setOutcome(r *invocation.Record, result *invocation.Result) {
	r.Outcome, r.ErrorType = invocation.OutcomeOK, result.ErrorType
	if result.FunctionError == "" {
		return
	}
	r.Outcome = invocation.OutcomeError
	if result.ErrorType == "Sandbox.Timedout" {
		r.Outcome = invocation.OutcomeTimeout
	}
	const longest = 1024
	r.ErrorMessage = message(result.Payload)
	r.ErrorMessage = r.ErrorMessage[:min(len(r.ErrorMessage), longest)]
}

// message returns the errorMessage of a failure's payload; empty if it has none.
func message(payload []byte) string {
	var f invocation.FunctionFailure
	if err := json.Unmarshal(payload, &f); err != nil {
		return ""
	}
	return f.ErrorMessage
}

// platformEnded reports whether the platform, and not user code, worded the
// failure, so that the log has no other trace of it.
func platformEnded(errorType string) bool {
	switch errorType {
	case "Sandbox.Timedout", "Runtime.ExitError", "Runtime.OutOfMemory", "Runtime.InvalidEntrypoint", invocation.ErrorResponseTooLarge:
		return true
	default:
		return false
	}
}

func megabytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }
