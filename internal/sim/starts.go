package sim

import (
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/autoscaler"
)

// coresPerNode is how many starts a node can make at once without their getting
// slower. Calls are not bounded by cores: a trace doesn't say what they compute.
const coresPerNode = 8

// scale begins the starts that the function's queue is worth.
func (s *simulation) scale(id int32) {
	f := &s.functions[id]
	for range autoscaler.Desired(s.observe(f)) - f.starting {
		f.starting++
		if len(s.waiting) > 0 || !s.start(id, true, false) {
			s.waiting = append(s.waiting, id)
		}
	}
}

func (s *simulation) observe(f *function) autoscaler.Observation {
	o := autoscaler.Observation{
		Waiting: len(f.queue), Starting: f.starting, Busy: f.busy, Idle: len(f.idle), Slots: 1,
		ServiceTime: f.service.Value(), StartTime: f.start.Value(),
		SinceRelease: fromMicros(s.now - f.lastEnd), Cores: coresPerNode,
	}
	if len(f.queue) > 0 {
		o.OldestWait = fromMicros(s.now - f.queue[0].at)
	}
	return o
}

// start begins a start if there is memory for it, made by evicting others if
// that is allowed.
func (s *simulation) start(f int32, evict, preWarmed bool) bool {
	n := s.place(f, evict)
	if n < 0 {
		return false
	}
	id := s.newEnvironment()
	node := &s.nodes[n]
	s.environments[id] = environment{
		function: f, node: n, place: int32(len(node.environments)),
		state: starting, fresh: true, preWarmed: preWarmed,
	}
	node.environments = append(node.environments, id)
	memory := s.memoryOf(id)
	node.free -= memory
	s.memoryMB += memory
	s.result.PeakMemoryMB = max(s.result.PeakMemoryMB, s.memoryMB)
	s.result.Starts++
	s.queue.push(event{at: s.now + toMicros(s.trace.Functions[f].Start), kind: startEnds, id: id})
	return true
}

func (s *simulation) newEnvironment() int32 {
	if n := len(s.unused); n > 0 {
		id := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return id
	}
	s.environments = append(s.environments, environment{})
	return int32(len(s.environments) - 1)
}

func (s *simulation) started(id int32) {
	e := &s.environments[id]
	f := &s.functions[e.function]
	f.starting--
	f.start.Observe(s.trace.Functions[e.function].Start)
	s.serve(id)
}

// end frees an environment. It must be idle.
func (s *simulation) end(id int32) {
	e := &s.environments[id]
	f, node, memory := &s.functions[e.function], &s.nodes[e.node], s.memoryOf(id)
	s.wake(id)
	if i := slices.Index(f.idle, id); i >= 0 {
		f.idle = slices.Delete(f.idle, i, i+1)
	}
	last := len(node.environments) - 1
	node.environments[e.place] = node.environments[last]
	s.environments[node.environments[e.place]].place = e.place
	node.environments = node.environments[:last]
	node.free += memory
	s.memoryMB -= memory
	e.state, e.checked = gone, 0
	s.unused = append(s.unused, id)
}

// preWarm starts an environment for a call that is expected. It evicts nothing
// for it.
func (s *simulation) preWarm(id int32, mark uint32) {
	f := &s.functions[id]
	if f.mark != mark || f.starting > 0 || len(f.idle) > 0 || s.policy.KeepWarm == nil {
		return
	}
	if s.start(id, false, true) {
		f.starting++
		s.result.PreWarmed++
	}
}

// admitWaiting begins the starts that wait for memory as far as there is some
// now, and forgets those that no call needs any more.
func (s *simulation) admitWaiting() {
	for len(s.waiting) > 0 {
		id := s.waiting[0]
		f := &s.functions[id]
		if autoscaler.Desired(s.observe(f)) < f.starting {
			f.starting--
		} else if !s.start(id, true, false) {
			return
		}
		s.waiting = s.waiting[1:]
	}
}

// planLook makes sure that a function's queue is looked after when its first
// call has waited for as long as is reasonable.
func (s *simulation) planLook(id int32) {
	f := &s.functions[id]
	if f.patience {
		return
	}
	f.patience = true
	s.queue.push(event{at: s.now + toMicros(autoscaler.Patience+time.Millisecond), kind: patienceEnds, id: id})
}

// lookAfter scales a function whose calls have waited long.
func (s *simulation) lookAfter(id int32) {
	f := &s.functions[id]
	f.patience = false
	if len(f.queue) == 0 {
		return
	}
	s.scale(id)
	if f.starting == 0 {
		s.planLook(id)
	}
}
