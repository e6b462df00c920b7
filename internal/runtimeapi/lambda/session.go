package lambda

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
	"mayfly.dev/mayfly/internal/sandbox"
)

// exitGrace is how long an answer may lag behind the end of the process that
// sent it: its bytes are in the socket and only have to be read.
const exitGrace = 250 * time.Millisecond

var _ runtimeapi.Session = (*session)(nil)

// session is a conversation with one running bootstrap.
type session struct {
	log    *slog.Logger
	proc   sandbox.Process
	out    *output.Output
	server *server
	// ready is closed at the first /next, failed when init was reported as
	// failed (after initError was set), closed by Close.
	ready, failed, closed chan struct{}
	initError             *runtimeapi.InitError
	closing               sync.Once

	mu    sync.Mutex
	phase phase
	calls calls
}

func newSession(log *slog.Logger, readers *sync.Pool, slots int, ln net.Listener, proc sandbox.Process, out *output.Output) *session {
	s := &session{
		log: log, proc: proc, out: out, calls: calls{slots: slots},
		ready: make(chan struct{}), failed: make(chan struct{}), closed: make(chan struct{}),
	}
	s.server = newServer(ln, readers, s)
	out.Begin()
	return s
}

// Ready waits for the first /next, /init/error or the end of the process.
func (s *session) Ready(ctx context.Context) error {
	defer s.out.Drain()
	select {
	case <-s.ready:
		return nil
	case <-s.failed:
		return s.initError
	case <-s.proc.Done():
	case <-s.closed:
		return errClosed()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	s.lastWords()
	select {
	case <-s.ready:
		return nil
	case <-s.failed:
		return s.initError
	default:
		return &runtimeapi.ExitError{Exit: s.proc.Exit()}
	}
}

// Invoke hands inv to the runtime's /next and waits for its answer. An
// invocation that comes before the runtime has asked for one waits for that.
func (s *session) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	c := &call{inv: inv, result: make(chan *invocation.Result, 1)}
	first, p, err := s.offer(c)
	if err != nil {
		return nil, err
	}
	if p != nil {
		s.deliver(ctx, first, p)
	}
	res, err := s.await(ctx, c)
	s.out.Drain()
	return res, err
}

func (s *session) await(ctx context.Context, c *call) (*invocation.Result, error) {
	select {
	case res := <-c.result:
		return res, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.closed:
		return nil, errClosed()
	case <-s.proc.Done():
	}
	s.lastWords()
	select {
	case res := <-c.result:
		return res, nil
	default:
		return nil, &runtimeapi.ExitError{Exit: s.proc.Exit()}
	}
}

// lastWords waits until an ended process has nothing more to say: its
// connections are read to their ends, or the grace time is over because some
// other process holds one.
func (s *session) lastWords() {
	grace := time.NewTimer(exitGrace)
	defer grace.Stop()
	select {
	case <-s.server.drained():
	case <-grace.C:
	case <-s.closed:
	}
}

// Started returns zero: where a bootstrap ends and the function begins is its own
// matter.
func (s *session) Started() time.Duration { return 0 }

// Done is closed when the bootstrap has ended.
func (s *session) Done() <-chan struct{} { return s.proc.Done() }

// Close ends the conversation. What the process wrote until now is handed out.
func (s *session) Close() error {
	var err error
	s.closing.Do(func() {
		close(s.closed)
		err = s.server.close()
		s.out.Drain()
		if e := s.out.Close(); err == nil {
			err = e
		}
	})
	return err
}

// offer queues c. If a /next waits, it returns that and the invocation whose turn
// it is: the caller writes it there.
func (s *session) offer(c *call) (*call, *poll, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == initFailed {
		return nil, nil, fault.New(fault.Internal, "InitFailed", "the environment's init phase has failed")
	}
	if err := s.calls.add(c); err != nil {
		return nil, nil, err
	}
	first, p := s.calls.pair()
	return first, p, nil
}

// deliver writes the invocation as the answer of p. If that fails, the runtime
// has given up this /next and the call waits for another, or gets it at once.
func (s *session) deliver(ctx context.Context, c *call, p *poll) {
	for p != nil {
		err := errGone
		if !p.conn.gone() {
			err = p.conn.writeInvocation(ctx, c.inv, p.last)
		}
		if err != nil || p.last {
			p.conn.abort()
		}
		close(p.over)
		if err == nil {
			return
		}
		s.log.DebugContext(ctx, "runtime gave up its poll", "request_id", c.inv.ID, "err", err)
		s.mu.Lock()
		s.calls.requeue(c)
		c, p = s.calls.pair()
		s.mu.Unlock()
	}
}

// next registers the /next p. It returns the call to answer it with, nil if
// there is none yet, or a refusal with the other /next that wait already.
func (s *session) next(p *poll) (c *call, others []*poll, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.phase.after(askNext)
	if !ok || s.calls.crowded() {
		return nil, slices.Clone(s.calls.polls), s.refusal("ask for the next invocation")
	}
	if s.phase == starting {
		close(s.ready)
	}
	s.phase, s.calls.polls = to, append(s.calls.polls, p)
	c, _ = s.calls.pair() // no other /next waits while an invocation does
	return c, nil, nil
}

// refusal says that the runtime may not do something now. The caller holds mu.
func (s *session) refusal(action string) error {
	state := s.calls.state()
	if s.phase != serving {
		state = s.phase.String()
	}
	return &refusal{state: state, action: action}
}

// abandon withdraws a /next whose connection has ended. If it is not waiting
// any more, an invocation is being written to it, and abandon awaits that.
func (s *session) abandon(p *poll) {
	s.mu.Lock()
	s.calls.withdraw(p)
	s.mu.Unlock()
	<-p.over
}

// abandonGone withdraws those of the /next whose clients have gone. It reports
// whether there was one.
func (s *session) abandonGone(polls []*poll) bool {
	found := false
	for _, p := range polls {
		if p.conn.gone() {
			s.abandon(p)
			found = true
		}
	}
	return found
}

// begin claims the answer of invocation id for one request, so that no second
// body is received at the same time.
func (s *session) begin(id string) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls.find(id)
	if c == nil || c.stage == queued {
		if slices.Contains(s.calls.done, id) {
			return nil, s.refusal("answer this invocation")
		}
		return nil, errUnknownID
	}
	to, ok := c.stage.after(beginAnswer)
	if !ok {
		return nil, s.refusal("answer this invocation")
	}
	c.stage = to
	return c, nil
}

// finish ends a claimed answer and hands its result to the caller.
func (s *session) finish(c *call, res *invocation.Result) {
	s.mu.Lock()
	c.stage, _ = c.stage.after(endAnswer) // begin has moved here and nobody else moves on
	s.calls.remove(c)
	s.mu.Unlock()
	c.result <- res
}

// claimInitError takes the one report of a failed init.
func (s *session) claimInitError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.phase.after(reportFailed)
	if !ok {
		return s.refusal("report a failed init")
	}
	s.phase = to
	return nil
}

// failInit publishes the report that was claimed.
func (s *session) failInit(ie *runtimeapi.InitError) {
	s.mu.Lock()
	s.initError = ie
	s.mu.Unlock()
	close(s.failed)
}

func errClosed() error {
	return fault.New(fault.Unavailable, "SessionClosed", "the environment was closed while it worked")
}
