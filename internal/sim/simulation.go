package sim

import (
	"context"

	"mayfly.dev/mayfly/internal/autoscaler"
)

// simulation is one run of one policy over a trace.
type simulation struct {
	trace  *Trace
	policy Policy

	now          micros
	queue        queue
	functions    []function
	environments []environment
	unused       []int32 // environments whose place can be taken
	nodes        []node
	waiting      []int32 // functions whose start waits for memory; the first came first

	result   Result
	added    *spans
	memoryMB int   // of all environments now
	idle     int64 // MB times microseconds
}

// function is the state of one function.
type function struct {
	histogram autoscaler.Histogram
	service   autoscaler.Average
	start     autoscaler.Average
	home      int32
	queue     []Call  // the calls that wait; the first came first
	idle      []int32 // environments; the one freed last is the last
	starting  int     // starts that wait for memory included
	busy      int
	called    bool // at least once
	patience  bool // an event will look after the queue
	mark      uint32
	lastEnd   micros // of a call
	calls     int
	cold      int
}

// state is what an environment does.
type state uint8

const (
	gone state = iota
	starting
	running
	idling
)

type environment struct {
	function, node int32
	place          int32 // in node.environments
	state          state
	fresh          bool   // no call ran in it yet
	preWarmed      bool   // it was started ahead of a call
	calls          int    // that it has run
	length         uint32 // of the call that runs
	idleSince      micros
	until          micros // when its keep-alive ends
	checked        micros // when an event will see to that; 0: none will
	priority       float64
}

func newSimulation(t *Trace, c Cluster, p Policy) *simulation {
	s := &simulation{
		trace: t, policy: p, added: &spans{},
		functions: make([]function, len(t.Functions)),
		nodes:     make([]node, c.Nodes),
		result:    Result{Policy: p.Name},
	}
	for i := range s.functions {
		s.functions[i].home = homeOf(i, c.Nodes)
	}
	for i := range s.nodes {
		s.nodes[i].free = c.NodeMemoryMB
	}
	return s
}

// run simulates the whole trace, and after it the calls that still run or wait.
func (s *simulation) run(ctx context.Context, p *progress) (Result, error) {
	calls, told := s.trace.Calls, 0
	for count, next := 0, 0; next < len(calls) || len(s.queue.events) > 0; count++ {
		if count%checkEvery == 0 && ctx.Err() != nil {
			return Result{}, context.Cause(ctx)
		}
		if next < len(calls) && (len(s.queue.events) == 0 || calls[next].at <= s.queue.events[0].at) {
			s.now = calls[next].at
			s.arrive(calls[next])
			next++
			for ; told < next*progressSlices/len(calls); told++ {
				p.slice()
			}
			continue
		}
		e := s.queue.pop()
		if next == len(calls) && e.kind != callEnds && e.kind != startEnds && e.kind != patienceEnds && e.at > toMicros(s.trace.Span) {
			continue // what stays warm for later is not this trace's matter
		}
		s.now = e.at
		s.happen(e)
	}
	s.finish()
	return s.result, nil
}

func (s *simulation) happen(e event) {
	switch e.kind {
	case callEnds:
		s.callEnded(e.id)
	case startEnds:
		s.started(e.id)
	case keepAliveEnds:
		s.expire(e.id, e.at)
	case preWarmDue:
		s.preWarm(e.id, e.mark)
	case patienceEnds:
		s.lookAfter(e.id)
	}
}

// finish counts the environments that are still idle up to the trace's end.
func (s *simulation) finish() {
	end := toMicros(s.trace.Span)
	for i := range s.environments {
		if e := &s.environments[i]; e.state == idling {
			s.idle += max(0, end-e.idleSince) * int64(s.memoryOf(int32(i)))
		}
	}
	s.result.IdleMemoryGBs = float64(s.idle) / 1024 / 1e6
	s.result.close(s.functions, s.added)
}

func (s *simulation) memoryOf(e int32) int {
	return s.trace.Functions[s.environments[e].function].MemoryMB
}
