package shim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
	"mayfly.dev/mayfly/internal/sandbox"
)

// session is a conversation with one started shim. Its goroutines are the
// reader of frames, the two of its output and the watcher, which joins the others
// when the process has ended.
type session struct {
	log     *slog.Logger
	conn    *net.UnixConn
	process sandbox.Process
	out     *output.Output

	// launch is what the runtime is bound to; nil: it is a stem still.
	launch atomic.Pointer[runtimeapi.Launch]

	// request is the invocation that raw output is tagged with; nil: none.
	request atomic.Pointer[string]

	begun   time.Time     // of the launch; zero for a stem
	took    time.Duration // to the start; final when started is closed
	started chan struct{} // closed when the runtime runs

	ready     chan struct{} // closed when readyErr is final
	readyErr  error
	readyOnce sync.Once

	done    chan struct{} // closed when the process has ended and all it wrote was handed over
	closing chan struct{} // closed by Close
	closed  sync.Once
	running sync.WaitGroup

	writing sync.Mutex // held for one frame; never together with mu

	mu      sync.Mutex
	pending map[uint32]*call
	last    uint32
}

// call is an invocation that waits for its answer.
type call struct {
	request string
	answer  chan answer // of capacity 1: the reader never waits
}

type answer struct {
	result *invocation.Result
	fatal  bool
}

var _ runtimeapi.Session = (*session)(nil)

func (s *session) start() {
	frames := make(chan struct{})
	s.running.Go(func() { defer close(frames); s.read() })
	s.out.Begin()
	s.running.Go(func() { s.watch(frames) })
}

// bind notes the version that the runtime will serve.
func (s *session) bind(l runtimeapi.Launch) { s.launch.Store(&l) }

// emit hands over a line. What a runtime without a version says comes from the
// interpreter, and is of use if it does not start.
func (s *session) emit(line runtimeapi.Line) {
	if l := s.launch.Load(); l != nil {
		l.Output(line)
		return
	}
	s.log.Warn("a runtime that serves no version yet printed", "stream", line.Stream, "text", fmt.Sprintf("%.300s", line.Text))
}

// Ready implements [runtimeapi.Session].
func (s *session) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return s.readyErr
	case <-s.done:
		return s.ended()
	case <-ctx.Done():
		s.out.Drain()
		return context.Cause(ctx)
	}
}

// Invoke implements [runtimeapi.Session]. It may be called from several
// goroutines; today's shims answer one invocation after the other. When the
// result is a failure that the runtime does not survive, Done is closed on
// return.
func (s *session) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	number, c := s.enter(inv.ID)
	if s.send(ctx, number, inv) != nil {
		return nil, s.abandoned(ctx)
	}
	select {
	case a := <-c.answer:
		return s.finish(number, a), nil
	case <-s.done:
		return s.lost(c)
	case <-ctx.Done():
		s.out.Drain()
		return nil, context.Cause(ctx)
	}
}

func (s *session) enter(request string) (uint32, *call) {
	c := &call{request: request, answer: make(chan answer, 1)}
	s.request.Store(&c.request)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.pending[s.last] = c
	return s.last, c
}

// finish hands over all that user code wrote before it answered: log frames
// came before the answer, the pipes are emptied now.
func (s *session) finish(number uint32, a answer) *invocation.Result {
	s.out.Drain()
	s.mu.Lock()
	delete(s.pending, number)
	idle := len(s.pending) == 0
	s.mu.Unlock()
	if idle {
		s.request.Store(nil)
	}
	if a.fatal {
		s.awaitEnd()
	}
	return a.result
}

// lost returns the answer that came just before the end, or the end.
func (s *session) lost(c *call) (*invocation.Result, error) {
	select {
	case a := <-c.answer:
		return a.result, nil
	default:
		return nil, s.ended()
	}
}

// abandoned turns a failed write into what happened: the deadline, or the end of
// the runtime or of the session.
func (s *session) abandoned(ctx context.Context) error {
	select {
	case <-s.done: // the write failed because nobody reads any more
		return s.ended()
	case <-ctx.Done():
		s.out.Drain()
		return context.Cause(ctx)
	}
}

// invokeMeta is the meta of an invoke frame.
type invokeMeta struct {
	RequestID       string `json:"requestId"`
	DeadlineMillis  int64  `json:"deadline"`
	ARN             string `json:"arn"`
	TraceID         string `json:"traceId,omitempty"`
	ClientContext   string `json:"clientContext,omitempty"`
	CognitoIdentity string `json:"cognitoIdentity,omitempty"`
}

func (s *session) send(ctx context.Context, number uint32, inv *invocation.Invocation) error {
	meta, err := json.Marshal(invokeMeta{
		RequestID:       inv.ID,
		DeadlineMillis:  inv.Deadline.UnixMilli(),
		ARN:             inv.ARN,
		TraceID:         inv.TraceID,
		ClientContext:   string(inv.ClientContext),
		CognitoIdentity: string(inv.CognitoIdentity),
	})
	if err != nil {
		return fmt.Errorf("encode the invocation: %w", err)
	}
	return s.write(ctx, frameInvoke, number, meta, inv.Payload)
}

// write sends one frame. A cancelled write may leave half a frame behind, after
// which the session can only be closed.
func (s *session) write(ctx context.Context, kind uint8, number uint32, meta, payload []byte) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	stop := context.AfterFunc(ctx, func() {
		// The deadline in the past wakes a write that waits for the runtime.
		_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
	})
	defer stop()
	head := make([]byte, 0, headerBytes+len(meta))
	head = appendHeader(head, kind, number, len(meta), len(payload))
	frame := net.Buffers{append(head, meta...), payload}
	_, err := frame.WriteTo(s.conn)
	return err
}

// Started implements [runtimeapi.Session].
func (s *session) Started() time.Duration {
	select {
	case <-s.started:
		return s.took
	default:
		return 0
	}
}

// Done implements [runtimeapi.Session]. It is also closed by Close.
func (s *session) Done() <-chan struct{} { return s.done }

// Close implements [runtimeapi.Session]. A shim whose socket closes ends by
// itself.
func (s *session) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		err = errors.Join(s.conn.Close(), s.out.Close())
	})
	s.running.Wait()
	return err
}
