package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"time"
)

// contestant does what is measured once and says how long it took.
type contestant func(context.Context) (time.Duration, error)

// interleave lets contestants take turns and returns the times of each. The first
// round warms up and does not count.
func interleave(ctx context.Context, rounds int, contestants ...contestant) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(contestants))
	for round := range rounds + 1 {
		for i, c := range contestants {
			d, err := c(ctx)
			if err != nil {
				return nil, err
			}
			if round > 0 {
				times[i] = append(times[i], d)
			}
		}
	}
	return times, nil
}

// quantile returns the value below which the share q of times lies.
func quantile(times []time.Duration, q float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func median(times []time.Duration) time.Duration { return quantile(times, 0.5) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// pause waits d unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// firstByte returns how long a process takes from nothing to its first byte of
// output. start gets the process's standard output.
func firstByte(start func(stdout *os.File) error) (time.Duration, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close() //nolint:errcheck // it was only read
	begun := time.Now()
	err = start(w)
	_ = w.Close() // the process has its own
	if err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(r, make([]byte, 1)); err != nil {
		return 0, fmt.Errorf("a process printed nothing: %w", err)
	}
	took := time.Since(begun)
	_, err = io.Copy(io.Discard, r) // a process that can't write its rest fails
	return took, err
}

// environment is that of the processes that are compared.
var environment = []string{"PATH=/usr/bin:/bin"}

// bare is the contestant that runs a program as a plain process.
func bare(program string, args ...string) contestant {
	return func(ctx context.Context) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = environment
		d, err := firstByte(func(stdout *os.File) error {
			cmd.Stdout = stdout
			return cmd.Start()
		})
		if err != nil {
			return 0, fmt.Errorf("run %s: %w", program, err)
		}
		if err := cmd.Wait(); err != nil {
			return 0, fmt.Errorf("run %s: %w", program, err)
		}
		return d, nil
	}
}
