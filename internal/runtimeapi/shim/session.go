package shim

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

// fatalGrace is how long a runtime that announced its end may take over it
// before it is killed.
const fatalGrace = time.Second

// session is a conversation with one started shim. Its goroutines are the
// reader of frames, one reader for each output pipe and the watcher, which joins
// the others when the process has ended.
type session struct {
	log     *slog.Logger
	conn    *net.UnixConn
	process sandbox.Process
	stdout  *pipe
	stderr  *pipe
	output  func(runtimeapi.Line)

	// request is the invocation that raw output is tagged with; nil: none.
	request atomic.Pointer[string]

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
	s.running.Go(s.stdout.run)
	s.running.Go(s.stderr.run)
	s.running.Go(func() { s.watch(frames) })
}

// Ready implements [runtimeapi.Session].
func (s *session) Ready(ctx context.Context) error {
	select {
	case <-s.ready:
		return s.readyErr
	case <-s.done:
		return s.ended()
	case <-ctx.Done():
		s.drain()
		return context.Cause(ctx)
	}
}

// ended says why nothing more can come: done is closed.
func (s *session) ended() error {
	select {
	case <-s.ready: // an init error is followed by the runtime's end
		if s.readyErr != nil {
			return s.readyErr
		}
	default:
	}
	select {
	case <-s.process.Done():
		return &runtimeapi.ExitError{Exit: s.process.Exit()}
	default:
		return fault.New(fault.Unavailable, "SessionClosed", "the execution environment is being taken down; try again")
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
		s.drain()
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
	s.drain()
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

// awaitEnd waits for the end of a runtime that announced it, so that nobody
// hands the environment another invocation.
func (s *session) awaitEnd() {
	if !s.exited(fatalGrace) {
		s.kill()
	}
	<-s.done
}

func (s *session) kill() {
	if err := s.process.Signal(syscall.SIGKILL); err != nil {
		s.log.Warn("a runtime could not be killed", "pid", s.process.PID(), "err", err)
	}
}

// abandoned turns a failed write into what happened: the deadline, or the end of
// the runtime or of the session.
func (s *session) abandoned(ctx context.Context) error {
	select {
	case <-s.done: // the write failed because nobody reads any more
		return s.ended()
	case <-ctx.Done():
		s.drain()
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

// read handles frames until the runtime's end of the socket is closed. A runtime
// that breaks the protocol is killed: user code wrote to a descriptor that is
// not its own.
func (s *session) read() {
	d := decoder{r: bufio.NewReaderSize(s.conn, 32<<10), maxPayload: invocation.MaxResponseBytes}
	for {
		f, err := d.next()
		if err == nil {
			err = s.handle(&f)
		}
		switch {
		case err == nil:
		case errors.Is(err, errProtocol):
			s.log.Warn("a runtime broke the shim protocol and is killed", "pid", s.process.PID(), "err", err)
			s.kill()
			return
		default:
			return // the end: the watcher says which
		}
	}
}

func (s *session) handle(f *frame) error {
	switch f.kind {
	case frameReady:
		s.initialized(nil)
		return nil
	case frameInitError:
		return s.initFailed(f)
	case frameLog:
		return s.logged(f)
	default:
		return s.answered(f)
	}
}

func (s *session) initialized(err error) {
	s.readyOnce.Do(func() {
		s.stdout.drain()
		s.stderr.drain()
		s.readyErr = err
		close(s.ready)
	})
}

// errorMeta is the meta of error and init error frames.
type errorMeta struct {
	Type string `json:"errorType"`
}

func decodeErrorMeta(f *frame) (errorMeta, error) {
	var m errorMeta
	if err := json.Unmarshal(f.meta, &m); err != nil {
		return m, fmt.Errorf("%w: meta of an error: %w", errProtocol, err)
	}
	return m, nil
}

func (s *session) initFailed(f *frame) error {
	m, err := decodeErrorMeta(f)
	if err != nil {
		return err
	}
	if f.tooLarge() {
		r := tooLarge(f.size)
		s.initialized(&runtimeapi.InitError{Type: r.ErrorType, Payload: r.Payload})
		return nil
	}
	s.initialized(&runtimeapi.InitError{Type: m.Type, Payload: f.payload})
	return nil
}

// logMetaBytes is the size of a log frame's meta: microseconds since 1970.
const logMetaBytes = 8

func (s *session) logged(f *frame) error {
	if len(f.meta) != logMetaBytes {
		return fmt.Errorf("%w: %d bytes of meta in a log frame", errProtocol, len(f.meta))
	}
	stream := "stdout"
	if f.flags&flagStderr != 0 {
		stream = "stderr"
	}
	s.mu.Lock()
	c := s.pending[f.invocation]
	s.mu.Unlock()
	line := runtimeapi.Line{
		Time:   time.UnixMicro(int64(binary.BigEndian.Uint64(f.meta))),
		Stream: stream,
		Text:   f.payload,
	}
	if c != nil {
		line.RequestID = c.request
	}
	s.output(line)
	return nil
}

func (s *session) answered(f *frame) error {
	a := answer{fatal: f.kind == frameError && f.flags&flagFatal != 0}
	switch {
	case f.tooLarge():
		a.result = tooLarge(f.size)
	case f.kind == frameError:
		m, err := decodeErrorMeta(f)
		if err != nil {
			return err
		}
		a.result = &invocation.Result{
			Payload: f.payload, ContentType: contentType, FunctionError: invocation.Unhandled, ErrorType: m.Type,
		}
	default:
		a.result = &invocation.Result{Payload: f.payload, ContentType: contentType}
	}
	s.mu.Lock()
	c := s.pending[f.invocation]
	s.mu.Unlock()
	if c == nil {
		return nil // nobody waits any more
	}
	select {
	case c.answer <- a:
	default: // a second answer to the same invocation counts for nothing
	}
	return nil
}

const contentType = "application/json"

// tooLarge is the result of a call whose answer was dropped for its size.
func tooLarge(size int) *invocation.Result {
	return invocation.Failed("Function.ResponseSizeTooLarge", fmt.Sprintf(
		"Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).", size, invocation.MaxResponseBytes))
}

// watch waits for the process's end, takes what it left behind and reports the
// end; frames is closed when the reader of frames has returned.
func (s *session) watch(frames <-chan struct{}) {
	defer close(s.done)
	if !s.awaitExit(frames) {
		return
	}
	// A child that holds the socket would keep the reader waiting: what is queued
	// is still read after this, then comes the end. An error: it is closed.
	_ = s.conn.CloseRead()
	<-frames
	s.drain()
}

// awaitExit reports whether the process ended before Close was called. A process
// that closes its socket and lives on is killed: it can't be spoken to.
func (s *session) awaitExit(frames <-chan struct{}) bool {
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return false
	case <-frames:
	}
	if !s.exited(fatalGrace) {
		s.kill()
	}
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return false
	}
}

// exited reports whether the process ended within d, or Close was called.
func (s *session) exited(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.process.Done():
		return true
	case <-s.closing:
		return true
	case <-timer.C:
		return false
	}
}

func (s *session) drain() {
	s.stdout.drain()
	s.stderr.drain()
}

// Done implements [runtimeapi.Session]. It is also closed by Close.
func (s *session) Done() <-chan struct{} { return s.done }

// Close implements [runtimeapi.Session]. A shim whose socket closes ends by
// itself.
func (s *session) Close() error {
	var err error
	s.closed.Do(func() {
		close(s.closing)
		err = errors.Join(s.conn.Close(), s.stdout.close(), s.stderr.close())
	})
	s.running.Wait()
	return err
}
