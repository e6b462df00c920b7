package shim

import (
	"sync"
	"sync/atomic"

	"mayfly.dev/mayfly/internal/invocation"
)

// call is an invocation that waits for its answer.
type call struct {
	number  uint32
	request string
	begun   func()      // nil: nobody asked
	running bool        // user code may have begun it; guarded by the line
	answer  chan answer // of capacity 1, out of answers: the reader never waits
}

type answer struct {
	result *invocation.Result
	fatal  bool
}

// answers are the channels of calls that have been answered.
var answers = sync.Pool{New: func() any { return make(chan answer, 1) }}

// line is the calls without an answer in the order of their frames. The runtime
// begins as many of them as it has slots, and the next when it has answered one.
type line struct {
	slots int

	// request is the invocation that raw output is tagged with; nil: nobody can
	// tell.
	request atomic.Pointer[string]

	mu      sync.Mutex
	waiting []*call
	last    uint32
	// stalled says that the runtime begins nothing any more.
	stalled bool
	// alone counts the answers since two calls were in line.
	alone int
}

// enter puts a call at the end of the line.
func (l *line) enter(request string, begun func()) *call {
	c := &call{request: request, begun: begun}
	c.answer = answers.Get().(chan answer) // nothing else is in the pool
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	c.number = l.last
	l.waiting = append(l.waiting, c)
	if len(l.waiting) > 1 {
		l.alone = 0
	}
	l.advance()
	return c
}

// settle takes the call with a number out of the line; nil: nobody waits for it.
// last says that the runtime begins no other.
func (l *line) settle(number uint32, last bool) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = l.stalled || last
	for i, c := range l.waiting {
		if c.number == number {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			l.waiting[:len(l.waiting)+1][len(l.waiting)] = nil
			l.alone++
			l.advance()
			return c
		}
	}
	return nil
}

// advance begins what may begin. The caller holds mu.
func (l *line) advance() {
	for i := 0; i < min(l.slots, len(l.waiting)) && !l.stalled; i++ {
		if c := l.waiting[i]; !c.running {
			c.running = true
			if c.begun != nil {
				c.begun()
			}
		}
	}
	switch {
	case len(l.waiting) == 0, l.slots > 1 && len(l.waiting) > 1:
		l.request.Store(nil)
	default:
		l.request.Store(&l.waiting[0].request)
	}
}

// open says how many calls the runtime runs at once.
func (l *line) open(slots int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slots = slots
}

// stop says that the runtime begins nothing any more.
func (l *line) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stalled = true
}

// of returns the request id of a call without an answer; empty: there is none.
func (l *line) of(number uint32) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.waiting {
		if c.number == number {
			return c.request
		}
	}
	return ""
}

// began reports whether user code may have begun c, and whether there are calls
// that it has not.
func (l *line) began(c *call) (running, others bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return c != nil && c.running, len(l.waiting) > 0 && !l.waiting[len(l.waiting)-1].running
}

// current returns the invocation that raw output belongs to.
func (l *line) current() string {
	if r := l.request.Load(); r != nil {
		return *r
	}
	return ""
}
