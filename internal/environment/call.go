package environment

import (
	"encoding/json"
	"fmt"
	"math"
	"sync"
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
	began    time.Time
	tail     *tail     // nil: nobody asked
	start    sync.Once // writes the START line, before the first line of the call
	written  bool      // by start
}

// begin makes inv the running call. Its START line is written when there is a line
// to stand before; else telemetry words it from the record.
func (e *Environment) begin(inv *invocation.Invocation, now time.Time) *call {
	c := &call{inv: inv, began: now}
	if inv.WantLogTail {
		c.tail = &tail{}
		c.tail.add(invocation.StartLine(inv.ID, e.Version.Number))
	}
	e.mu.Lock()
	c.first = e.calls == 0
	e.calls++
	e.current = c
	e.mu.Unlock()
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
	if c != nil {
		e.writeStart(c)
		if c.tail != nil {
			c.tail.add(string(l.Text))
		}
	}
	e.lines(telemetry.Line{
		Time: l.Time, Namespace: e.Version.Namespace, Function: e.Version.Function,
		RequestID: l.RequestID, Environment: e.ID, Stream: l.Stream, Text: string(l.Text),
	})
}

// write adds one of the platform's lines to the log.
func (e *Environment) write(c *call, now time.Time, text string) {
	e.writeStart(c)
	if c.tail != nil {
		c.tail.add(text)
	}
	e.platformLine(c, now, text)
}

// writeStart writes a call's START line, once.
func (e *Environment) writeStart(c *call) {
	c.start.Do(func() {
		c.written = true
		e.platformLine(c, c.began, invocation.StartLine(c.inv.ID, e.Version.Number))
	})
}

func (e *Environment) platformLine(c *call, now time.Time, text string) {
	e.lines(telemetry.Line{
		Time: now, Namespace: e.Version.Namespace, Function: e.Version.Function,
		RequestID: c.inv.ID, Environment: e.ID, Stream: "platform", Text: text,
	})
}

// end closes the running call: it completes the result's record and writes what
// failed. result is nil if the platform failed. crowded says that
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
	if result != nil && invocation.PlatformEnded(result.ErrorType) {
		e.write(c, now, message(result.Payload))
	}
	crowded = usage.PIDs > crowdedPIDs
	if crowded {
		e.write(c, now, fmt.Sprintf("%d processes and threads are left in the execution environment, of %d that it may have: "+
			"it serves no further invocation. Wait for the processes that the function starts", usage.PIDs, maxPIDs))
	}
	var r *invocation.Record
	if result == nil {
		r = e.record(c, &invocation.Result{}, billed)
	} else {
		r = e.record(c, result, billed)
		result.Record, result.ExecutedVersion = r, e.Version.Number
	}
	r.CPU, r.PeakMemoryBytes = max(0, usage.CPU-cpuBefore), usage.PeakMemoryBytes
	if result == nil { // there will be no record of its run
		e.write(c, now, invocation.EndLine(c.inv.ID))
		e.write(c, now, invocation.ReportLine(r))
		return crowded
	}
	c.start.Do(func() {}) // a line that comes later finds START in the record
	r.StartWritten = c.written
	if c.tail != nil {
		c.tail.add(invocation.EndLine(c.inv.ID))
		c.tail.add(invocation.ReportLine(r))
		result.LogTail = c.tail.bytes()
	}
	return crowded
}

func (e *Environment) record(c *call, result *invocation.Result, billed time.Duration) *invocation.Record {
	r := &invocation.Record{
		RequestID: c.inv.ID, Namespace: e.Version.Namespace, Function: e.Version.Function,
		Version: e.Version.Number, Revision: e.Version.Revision, Environment: e.ID,
		Trigger: c.inv.Trigger, Received: c.inv.Received, Began: c.began, TraceID: c.inv.TraceID,
		Duration: c.duration, Billed: billed, MemoryMB: e.Version.MemoryMB,
		RequestBytes: len(c.inv.Payload), ResponseBytes: len(result.Payload),
	}
	if c.first {
		r.ColdStart, r.Sandbox, r.Init = true, e.Phases.Sandbox, e.Phases.Init
	}
	if c.init {
		r.InitFailed, r.ColdStart, r.Duration = true, true, 0
		r.Sandbox, r.Init = e.Phases.Sandbox, e.Phases.Init
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
	if result.ErrorType == invocation.ErrorTimeout {
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
