package sim

import "mayfly.dev/mayfly/internal/autoscaler"

// arrive is a call that comes.
func (s *simulation) arrive(c Call) {
	f := &s.functions[c.function]
	f.calls++
	f.mark++ // a pre-warm that was planned is not needed any more
	if f.called && f.busy == 0 && len(f.queue) == 0 {
		f.histogram.Observe(fromMicros(s.now - f.lastEnd))
	}
	f.called = true
	if n := len(f.idle); n > 0 {
		e := f.idle[n-1]
		f.idle = f.idle[:n-1]
		s.wake(e)
		s.begin(e, c, false)
		return
	}
	f.queue = append(f.queue, c)
	s.scale(int32(c.function))
	s.planLook(int32(c.function))
}

// wake ends an environment's idle time.
func (s *simulation) wake(id int32) {
	e := &s.environments[id]
	s.idle += max(0, s.now-e.idleSince) * int64(s.memoryOf(id))
	e.state = running
}

// begin runs a call in an environment. It is a cold start if the call had to wait
// for the environment's start.
func (s *simulation) begin(id int32, c Call, cold bool) {
	e, f := &s.environments[id], &s.functions[c.function]
	if cold {
		f.cold++
	}
	e.state, e.fresh, e.length = running, false, c.length
	f.busy++
	e.calls++
	s.added.observe(s.now - c.at)
	s.queue.push(event{at: s.now + micros(c.length), kind: callEnds, id: id})
}

func (s *simulation) callEnded(id int32) {
	e := &s.environments[id]
	f := &s.functions[e.function]
	f.busy--
	f.lastEnd = s.now
	f.service.Observe(fromMicros(micros(e.length)))
	s.serve(id)
}

// serve gives a free environment the call that waits first, or lays it aside.
func (s *simulation) serve(id int32) {
	e := &s.environments[id]
	f := &s.functions[e.function]
	if len(f.queue) == 0 {
		s.settle(id)
		return
	}
	c := f.queue[0]
	if f.queue = f.queue[1:]; len(f.queue) == 0 {
		f.queue = nil
	}
	s.begin(id, c, e.fresh)
	s.scale(e.function)
}

// settle decides what becomes of an environment that has nothing to do.
func (s *simulation) settle(id int32) {
	e := &s.environments[id]
	f := &s.functions[e.function]
	e.state, e.idleSince = idling, s.now
	start := s.trace.Functions[e.function].Start
	e.priority = s.nodes[e.node].greedy.Priority(e.calls, start, int64(s.memoryOf(id))<<20)
	f.idle = append(f.idle, id)
	if s.policy.KeepWarm != nil {
		s.keep(id, s.policy.KeepWarm.Windows(&f.histogram))
	}
	s.admitWaiting() // what is idle can make room
}

// keep ends an idle environment or plans its end.
func (s *simulation) keep(id int32, w autoscaler.Windows) {
	e := &s.environments[id]
	f := &s.functions[e.function]
	switch {
	case e.fresh && e.preWarmed:
		e.until = f.lastEnd + toMicros(w.End())
	case w.PreWarm > 0 && f.busy == 0 && f.starting == 0:
		f.mark++
		s.queue.push(event{at: max(s.now, f.lastEnd+toMicros(w.PreWarm)), kind: preWarmDue, id: e.function, mark: f.mark})
		s.endIdle(f)
		return
	default:
		e.until = s.now + toMicros(w.KeepAlive)
	}
	if e.until <= s.now {
		s.end(id)
		return
	}
	if e.checked == 0 || e.until < e.checked {
		e.checked = e.until
		s.queue.push(event{at: e.until, kind: keepAliveEnds, id: id})
	}
}

// endIdle ends all idle environments of a function that needs none for a while.
func (s *simulation) endIdle(f *function) {
	for len(f.idle) > 0 {
		s.end(f.idle[len(f.idle)-1])
	}
}

// expire ends an environment whose keep-alive is over, or looks again when it
// will be: it may have been used since this was planned.
func (s *simulation) expire(id int32, planned micros) {
	e := &s.environments[id]
	if e.state == gone || e.checked != planned {
		return // an earlier look was planned since
	}
	e.checked = 0
	switch {
	case e.state != idling:
	case s.now >= e.until:
		s.end(id)
		s.admitWaiting()
	default:
		e.checked = e.until
		s.queue.push(event{at: e.until, kind: keepAliveEnds, id: id})
	}
}
