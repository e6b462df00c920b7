package faults_test

import (
	"maps"
	"os"
	"strconv"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestIdleEnvironmentsTakeNoProcessorTime freezes functions that go on working
// after their answer.
func TestIdleEnvironmentsTakeNoProcessorTime(t *testing.T) {
	n := startNode(t, "--freeze-after", "100ms")
	before := n.baseline(t)
	n.put(t, "busy-python", "python", wire.Settings{MemoryMB: 1769})
	n.put(t, "busy-node", "node", wire.Settings{MemoryMB: 1769})
	n.put(t, "other", "python", wire.Settings{})
	for range 3 { // each time they are thawed they go on
		n.Call(t, "busy-python", `{"later":"burn"}`)
		n.Call(t, "busy-node", `{"later":"spin"}`)
		frozen := func() bool {
			return n.InState(t, "busy-python", "frozen") == 1 && n.InState(t, "busy-node", "frozen") == 1
		}
		nodetest.Eventually(t, "both are frozen", frozen)
		then := n.times(t)
		if len(then) < 2 {
			t.Fatalf("%d processes are frozen, want two or more", len(then))
		}
		n.put(t, "other", "python", wire.Settings{}) // time passes
		for range 20 {
			n.Call(t, "other", `{"wait":0.02}`)
		}
		now := since(then, n.times(t))
		if !frozen() {
			t.Error("an environment woke up by itself")
		}
		if !maps.Equal(then, now) {
			t.Errorf("frozen processes took time: %v ticks became %v", then, now)
		}
		if err := n.DeleteFunction(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		nodetest.Eventually(t, "the other one has gone", func() bool { return len(n.PIDs()) <= len(then) })
	}
	n.rested(t, before)
}

// TestATimerThatIsDueWhileFrozenFiresWithTheNextCall leaves a timer behind.
func TestATimerThatIsDueWhileFrozenFiresWithTheNextCall(t *testing.T) {
	n := startNode(t, "--freeze-after", "100ms")
	before := n.baseline(t)
	for language := range languages {
		name := "timer-" + language
		n.put(t, name, language, wire.Settings{})
		if r := n.Call(t, name, `{"later":"count","after":0.3}`); string(r.Payload) != "0" {
			t.Fatalf("%s returned %s, want 0", name, r.Payload)
		}
		nodetest.Eventually(t, "it is frozen", func() bool { return n.InState(t, name, "frozen") == 1 })
		nodetest.Eventually(t, "the timer has fired", func() bool { return string(n.Call(t, name, "{}").Payload) == "1" })
	}
	n.rested(t, before)
}

// times is the processor time of the node's sandboxed processes, by their ids.
func (n node) times(t *testing.T) map[int]int {
	t.Helper()
	times := map[int]int{}
	for _, pid := range n.PIDs() {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue // it has just ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, f := range fields[11:13] { // utime and stime
			ticks, err := strconv.Atoi(f)
			if err != nil {
				t.Fatal(err)
			}
			times[pid] += ticks
		}
	}
	return times
}

// since is what came to times, of the processes that were there already.
func since(before, after map[int]int) map[int]int {
	maps.DeleteFunc(after, func(pid, _ int) bool { _, was := before[pid]; return !was })
	return after
}
