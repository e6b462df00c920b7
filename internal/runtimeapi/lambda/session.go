package lambda

import (
	"context"
	"log/slog"
	"net"
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
	// call is the invocation that waits for a /next or for its answer.
	call *call
	// poll is the /next that waits for an invocation.
	poll *poll
	// lastID is the invocation that was answered last.
	lastID string
}

// call is one invocation under way.
type call struct {
	inv *invocation.Invocation
	// result receives the one answer.
	result chan *invocation.Result
}

// poll is one /next. Its over is closed when it was answered or withdrawn.
type poll struct {
	conn *conn
	// last says that the connection ends with the answer.
	last bool
	over chan struct{}
}

func newSession(log *slog.Logger, readers *sync.Pool, ln net.Listener, proc sandbox.Process, out *output.Output) *session {
	s := &session{
		log: log, proc: proc, out: out,
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
	p, err := s.offer(c)
	if err != nil {
		return nil, err
	}
	if p != nil {
		stop := context.AfterFunc(ctx, p.conn.abort)
		s.deliver(c, p)
		stop()
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

// offer makes c the current call. If a /next waits already, it is taken for c
// and returned: the caller writes the invocation to it.
func (s *session) offer(c *call) (*poll, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.call != nil:
		return nil, fault.New(fault.Internal, "SessionBusy", "the environment is running another invocation")
	case s.phase == initFailed:
		return nil, fault.New(fault.Internal, "InitFailed", "the environment's init phase has failed")
	}
	s.call = c
	return s.take(), nil
}

// take moves a waiting /next to running if there is a call for it. The caller
// holds mu.
func (s *session) take() *poll {
	next, ok := s.phase.after(takeCall)
	if !ok || s.call == nil || s.poll == nil {
		return nil
	}
	p := s.poll
	s.phase, s.poll = next, nil
	return p
}

// deliver writes the invocation as the answer of p. If that fails, the runtime
// has given up this /next and the call waits for another.
func (s *session) deliver(c *call, p *poll) {
	defer close(p.over)
	err := errGone
	if !p.conn.gone() {
		err = p.conn.writeInvocation(c.inv, p.last)
	}
	if err != nil || p.last {
		p.conn.abort()
	}
	if err == nil {
		return
	}
	s.log.Debug("runtime gave up its poll", "request_id", c.inv.ID, "err", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if next, ok := s.phase.after(loseCall); ok && s.call == c {
		s.phase = next
	}
}

// next registers the /next p. It returns the call to answer it with, nil if
// there is none yet, or a refusal with the other /next that waits already.
func (s *session) next(p *poll) (c *call, other *poll, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.phase.after(askNext)
	if !ok {
		return nil, s.poll, &refusal{phase: s.phase, action: "ask for the next invocation"}
	}
	if s.phase == starting {
		close(s.ready)
	}
	s.phase, s.poll = to, p
	if s.take() != nil {
		return s.call, nil, nil
	}
	return nil, nil, nil
}

// abandon withdraws a /next whose connection has ended. If it is not waiting
// any more, an invocation is being written to it, and abandon awaits that.
func (s *session) abandon(p *poll) {
	s.mu.Lock()
	to, ok := s.phase.after(loseNext)
	if ok && s.poll == p {
		s.phase, s.poll = to, nil
		close(p.over)
	}
	s.mu.Unlock()
	<-p.over
}

// begin claims the answer of invocation id for one request, so that no second
// body is received at the same time.
func (s *session) begin(id string) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.call != nil && s.call.inv.ID == id && (s.phase == running || s.phase == answering)
	if !current && id != s.lastID {
		return nil, errUnknownID
	}
	to, ok := s.phase.after(beginAnswer)
	if !ok || !current {
		return nil, &refusal{phase: s.phase, action: "answer this invocation"}
	}
	s.phase = to
	return s.call, nil
}

// finish ends a claimed answer and hands its result to the caller.
func (s *session) finish(c *call, res *invocation.Result) {
	s.mu.Lock()
	s.phase, _ = s.phase.after(endAnswer) // begin has moved here and nobody else moves on
	s.call, s.lastID = nil, c.inv.ID
	s.mu.Unlock()
	c.result <- res
}

// claimInitError takes the one report of a failed init.
func (s *session) claimInitError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to, ok := s.phase.after(reportFailed)
	if !ok {
		return &refusal{phase: s.phase, action: "report a failed init"}
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
