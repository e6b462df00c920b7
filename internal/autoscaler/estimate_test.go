package autoscaler_test

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
)

func TestAverageFollowsWhatItSees(t *testing.T) {
	var a autoscaler.Average
	if got := a.Value(); got != 0 {
		t.Errorf("knows %s before anything was observed", got)
	}
	a.Observe(0)
	if a.Value() <= 0 {
		t.Error("an observed zero looks like the unknown")
	}
	for range 100 {
		a.Observe(80 * time.Millisecond)
	}
	if got := a.Value(); got < 79*time.Millisecond || got > 80*time.Millisecond {
		t.Errorf("got %s after many samples of 80ms", got)
	}
}

func TestCPUShareIsNotDilutedByTakenCores(t *testing.T) {
	var c autoscaler.CPUShare
	c.Observe(9*time.Millisecond, 10*time.Millisecond, 1, 2)
	for range 1000 { // 16 of them on two cores: each gets an eighth
		c.Observe(9*time.Millisecond, 72*time.Millisecond, 16, 2)
	}
	if got := c.Value(); got < 0.85 {
		t.Errorf("a call that computes for nine tenths of its time counts as %.2f on taken cores", got)
	}
}

func TestCPUShareOfCallsThatWaitStaysLow(t *testing.T) {
	var c autoscaler.CPUShare
	c.Observe(time.Millisecond, 100*time.Millisecond, 1, 2)
	for range 1000 {
		c.Observe(time.Millisecond, 100*time.Millisecond, 60, 2)
	}
	if got := c.Value(); got > 0.02 {
		t.Errorf("a call that waits counts as %.2f because many run", got)
	}
}

func TestCPUShareLearnsAChange(t *testing.T) {
	var c autoscaler.CPUShare
	for range 100 {
		c.Observe(10*time.Millisecond, 10*time.Millisecond, 3, 2)
	}
	for range 500 {
		c.Observe(time.Millisecond, 100*time.Millisecond, 3, 2)
	}
	if got := c.Value(); got > 0.05 {
		t.Errorf("counts as %.2f after calls began to wait for others", got)
	}
}

func TestCPUShareIgnoresWhatCannotBe(t *testing.T) {
	var c autoscaler.CPUShare
	c.Observe(time.Second, 0, 1, 2)
	c.Observe(time.Second, time.Second, 1, 0)
	if got := c.Value(); got != 0 {
		t.Errorf("got %.2f, want 0", got)
	}
	c.Observe(5*time.Second, time.Second, 1, 8) // five threads
	if got := c.Value(); got != 1 {
		t.Errorf("got %.2f, want 1", got)
	}
}
