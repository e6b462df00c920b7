package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/telemetry"
)

// metering measures what it costs to know what an invocation has used: one reading
// of the sandbox's counters, and its record from the queue to the disk.
func (b *bench) metering(ctx context.Context) (*Table, error) {
	reading, err := b.readUsage(ctx)
	if err != nil {
		return nil, err
	}
	record, err := b.writeRecords(ctx)
	if err != nil {
		return nil, err
	}
	t := &Table{Title: "Metering of an invocation, processor time", Columns: []Column{{"time", "µs"}}}
	t.row("reading a sandbox's counters once", map[string]float64{"time": microseconds(reading)})
	t.row("a record, from the queue to the disk", map[string]float64{"time": microseconds(record)})
	b.atMost("metering", "metering of one invocation", "µs", microseconds(reading+record), 10)
	return t, nil
}

// readUsage returns the time of a reading of a sandbox whose process waits.
func (b *bench) readUsage(ctx context.Context) (_ time.Duration, err error) {
	driver, closeDriver, err := b.driver(ctx)
	defer func() { err = errors.Join(err, closeDriver()) }()
	if err != nil {
		return 0, err
	}
	sb, err := driver.Create(ctx, sandbox.Spec{
		ID: "metering", MemoryBytes: memoryMB << 20, MilliCPU: 1000, PIDs: 64, OpenFiles: 64, TmpBytes: 1 << 20,
		Egress: function.Egress{Mode: function.EgressInternet},
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, sb.Destroy(context.WithoutCancel(ctx))) }()
	if _, err := sb.Start(ctx, sandbox.Command{Path: "/bin/sleep", Args: []string{"sleep", "600"}, Env: environment}); err != nil {
		return 0, err
	}
	const batch = 500
	var times []time.Duration
	for range b.rounds(20) {
		begun, err := used()
		if err != nil {
			return 0, err
		}
		for range batch {
			if _, err := sb.Usage(); err != nil {
				return 0, err
			}
		}
		ended, err := used()
		if err != nil {
			return 0, err
		}
		times = append(times, (ended-begun)/batch)
	}
	return median(times), nil
}

// writeRecords returns the processor time, the writer's included, of a record of an
// invocation that printed nothing.
func (b *bench) writeRecords(ctx context.Context) (_ time.Duration, err error) {
	dir := filepath.Join(b.dir, "metering")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return 0, err
	}
	s, err := telemetry.Open(ctx, telemetry.Config{Dir: dir, Retention: time.Hour, MaxBytes: 1 << 30})
	if err != nil {
		return 0, err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- s.Run(running) }()
	defer func() {
		stop()
		if e := <-done; !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}()
	const batch = 4000 // less than the queue holds
	var times []time.Duration
	now, n := time.Now(), 0
	for range b.rounds(20) {
		begun, err := used()
		if err != nil {
			return 0, err
		}
		for range batch {
			n++
			s.Record(&invocation.Record{
				RequestID: fmt.Sprintf("0f3c3f1e-6f0c-4f5b-9d1b-%012x", n*7919), Namespace: "default", Function: "hello", Version: "$LATEST",
				Revision: "0f3c3f1e-6f0c-4f5b-9d1b-000000000000", Environment: "e-0f3c3f1e6f0c4f5b9d1b000000000000",
				Outcome: invocation.OutcomeOK, Trigger: "url", Received: now, Began: now, Duration: 210 * time.Microsecond, Billed: time.Millisecond,
				CPU: 100 * time.Microsecond, MemoryMB: 128, PeakMemoryBytes: 34 << 20, RequestBytes: 700, ResponseBytes: 90,
			})
		}
		// A query waits until what was there before it is on the disk.
		if _, err := s.Records(ctx, telemetry.RecordQuery{Namespace: "default", Function: "other", Limit: 1}); err != nil {
			return 0, err
		}
		ended, err := used()
		if err != nil {
			return 0, err
		}
		times = append(times, (ended-begun)/batch)
	}
	if dropped := s.Dropped(); dropped > 0 {
		return 0, fmt.Errorf("%d records were dropped", dropped)
	}
	return median(times), nil
}

// used is the processor time of this process.
func used() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("getrusage: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}
