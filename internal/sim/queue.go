package sim

// kind says what an event is.
type kind uint8

const (
	callEnds kind = iota
	startEnds
	keepAliveEnds
	preWarmDue
	patienceEnds
)

// event is something that will happen. Events of one moment happen in the order
// in which they were planned.
type event struct {
	at   micros
	seq  uint64
	id   int32  // the environment, for the first three kinds; else the function
	mark uint32 // of preWarmDue: it is void if the function's mark is another by then
	kind kind
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// queue is a heap of events with four children a node, which is faster than two:
// its levels are half as many, and four events lie side by side in memory.
// container/heap would allocate for each event.
type queue struct {
	events []event
	seq    uint64
}

func (q *queue) push(e event) {
	q.seq++
	e.seq = q.seq
	q.events = append(q.events, e)
	i := len(q.events) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q.events[parent]) {
			break
		}
		q.events[i] = q.events[parent]
		i = parent
	}
	q.events[i] = e
}

// pop takes the first event out. The queue must not be empty.
func (q *queue) pop() event {
	first := q.events[0]
	n := len(q.events) - 1
	last := q.events[n]
	q.events = q.events[:n]
	i := 0
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(least+4, n); c++ {
			if q.events[c].before(&q.events[least]) {
				least = c
			}
		}
		if !q.events[least].before(&last) {
			break
		}
		q.events[i] = q.events[least]
		i = least
	}
	if n > 0 {
		q.events[i] = last
	}
	return first
}
