package environment

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// call is an invocation that an environment has accepted.
type call struct {
	inv    *invocation.Invocation
	cancel context.CancelCauseFunc
	first  bool  // the environment's first call, which waited for its init
	init   bool  // the init failed, and the call with it
	tail   *tail // nil: nobody asked

	begun    time.Time // zero: it waits for others to end
	timer    *time.Timer
	duration time.Duration
	start    sync.Once // writes the START line, before the first line of the call
	written  bool      // by start
}

// begin is called when user code may begin a call: its time runs from now on. The
// START line is written when there is a line to stand before; else telemetry words
// it from the record.
func (e *Environment) begin(c *call) {
	if c.inv.WantLogTail {
		c.tail = &tail{}
		c.tail.add(invocation.StartLine(c.inv.ID, e.Version.Number))
	}
	now := time.Now()
	e.mu.Lock()
	c.begun = now
	e.mu.Unlock()
	if c.cancel != nil {
		c.timer = time.AfterFunc(e.Version.Timeout, func() { c.cancel(errTimeout) })
	}
}

// output receives what user code wrote. A line that names no request belongs to
// the call that runs, if there is one alone.
func (e *Environment) output(l runtimeapi.Line) {
	c := e.speaker(l.RequestID)
	if c != nil {
		l.RequestID = c.inv.ID
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

// speaker returns the running call that a line of output belongs to; nil: a line
// of init, a late one of an earlier call, or one of several that nobody can tell.
func (e *Environment) speaker(requestID string) *call {
	e.mu.Lock()
	defer e.mu.Unlock()
	var found *call
	for _, c := range e.calls {
		switch {
		case c.begun.IsZero():
		case c.inv.ID == requestID:
			return c
		case requestID == "" && found == nil:
			found = c
		case requestID == "":
			return nil
		}
	}
	return found
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
		e.platformLine(c, c.begun, invocation.StartLine(c.inv.ID, e.Version.Number))
	})
}

func (e *Environment) platformLine(c *call, now time.Time, text string) {
	e.lines(telemetry.Line{
		Time: now, Namespace: e.Version.Namespace, Function: e.Version.Function,
		RequestID: c.inv.ID, Environment: e.ID, Stream: "platform", Text: text,
	})
}

// end closes a call that had begun: it completes the result's record and writes
// what failed. result is nil if the platform failed. crowded says that calls have
// left more processes than the next one should find.
func (e *Environment) end(c *call, result *invocation.Result) (crowded bool) {
	now := time.Now()
	if c.timer != nil {
		c.timer.Stop()
		c.duration = now.Sub(c.begun)
	}
	usage := e.measure(now, result == nil || result.FunctionError != "" || c.duration > longCall)
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
	r.CPU, r.Delay = e.spent(usage)
	r.PeakMemoryBytes = usage.PeakMemoryBytes
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
		Trigger: c.inv.Trigger, Received: c.inv.Received, Began: c.begun, TraceID: c.inv.TraceID,
		Queue:    c.begun.Sub(c.inv.Received),
		Duration: c.duration, Billed: billed, MemoryMB: e.Version.MemoryMB,
		RequestBytes: len(c.inv.Payload), ResponseBytes: len(result.Payload),
	}
	if c.first {
		e.coldStart(r)
	}
	if c.init {
		e.coldStart(r)
		r.InitFailed, r.Duration = true, 0
	}
	setOutcome(r, result)
	return r
}

// spent returns the processor time since the last call's end, and the time that
// user code waited for a processor: what it does between two calls counts as the
// later one's, and what several do at once as that of the one that ends.
func (e *Environment) spent(used sandbox.Usage) (cpu, delay time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	cpu, delay = max(0, used.CPU-e.cpu), max(0, used.Delay-e.delay)
	e.cpu, e.delay = used.CPU, used.Delay
	return cpu, delay
}

// coldStart fills in the phases of the environment's start.
func (e *Environment) coldStart(r *invocation.Record) {
	r.ColdStart = true
	r.Sandbox, r.Runtime, r.Load, r.Init = e.Phases.Sandbox, e.Phases.Runtime, e.Phases.Load, e.Phases.Init
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
