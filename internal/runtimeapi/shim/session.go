package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

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
	link    *link
	process sandbox.Process
	out     *output.Output

	// launch is what the runtime is bound to; nil: it is a stem still.
	launch atomic.Pointer[runtimeapi.Launch]

	copies  atomic.Uint32 // that a zygote was asked for
	begun   time.Time     // of the launch; zero for a stem or a copy
	took    time.Duration // to the start; final when started is closed
	started chan struct{} // closed when the runtime runs

	ready     chan struct{} // closed when readyErr is final
	readyErr  error
	readyOnce sync.Once

	done    chan struct{} // closed when the process has ended and all it wrote was handed over
	closing chan struct{} // closed by Close
	closed  sync.Once
	running sync.WaitGroup

	// writing is held for one frame: of capacity 1, so that one who waits for it
	// sees the end of its time.
	writing chan struct{}

	line line
	in   reading
}

var (
	_ runtimeapi.Session   = (*session)(nil)
	_ runtimeapi.Pipeliner = (*session)(nil)
)

func (s *session) start() {
	frames := make(chan struct{})
	s.running.Go(func() { defer close(frames); s.read() })
	s.out.Begin()
	s.running.Go(func() { s.watch(frames) })
}

// bind notes the version that the runtime will serve.
func (s *session) bind(l runtimeapi.Launch) {
	s.line.open(l.Version.Slots())
	s.launch.Store(&l)
}

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

// Invoke implements [runtimeapi.Session]. When the result is a failure that the
// runtime does not survive, Done is closed on return.
func (s *session) Invoke(ctx context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	return s.invoke(ctx, inv, nil)
}

// ahead is how many invocations a shim takes before their turn.
const ahead = 32

// Ahead implements [runtimeapi.Pipeliner].
func (s *session) Ahead() int { return ahead }

// InvokeInLine implements [runtimeapi.Pipeliner].
func (s *session) InvokeInLine(ctx context.Context, inv *invocation.Invocation, begun func()) (*invocation.Result, error) {
	return s.invoke(ctx, inv, begun)
}

func (s *session) invoke(ctx context.Context, inv *invocation.Invocation, begun func()) (*invocation.Result, error) {
	c, err := s.send(ctx, inv, begun)
	switch {
	case errors.Is(err, errMeta):
		return nil, err
	case err != nil:
		return nil, s.abandoned(ctx, c)
	}
	s.lead(ctx, c)
	select {
	case a := <-c.answer:
		return s.finish(c, a), nil
	case <-s.done:
		return s.lost(c)
	case <-ctx.Done():
		return nil, s.gaveUp(ctx, c)
	}
}

func (s *session) finish(c *call, a answer) *invocation.Result {
	answers.Put(c.answer)
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
	}
	return nil, s.unanswered(c)
}

// unanswered says why c gets no answer when done is closed.
func (s *session) unanswered(c *call) error {
	if running, _ := s.line.began(c); !running && c.begun != nil {
		return runtimeapi.ErrNotBegun
	}
	return s.ended()
}

// gaveUp ends the wait for an answer. The conversation is over: calls that were
// behind c in line must not begin, and c must not if it has not.
func (s *session) gaveUp(ctx context.Context, c *call) error {
	running, others := s.line.began(c)
	if others {
		s.kill()
	}
	if running {
		s.out.Drain()
		return context.Cause(ctx)
	}
	<-s.done // by now all is known that the runtime began
	if running, _ := s.line.began(c); running || c.begun == nil {
		return context.Cause(ctx)
	}
	return runtimeapi.ErrNotBegun
}

// abandoned turns a failed write into what happened: the deadline, or the end of
// the runtime or of the session.
func (s *session) abandoned(ctx context.Context, c *call) error {
	select {
	case <-s.done: // the write failed because nobody reads any more
		return s.unanswered(c)
	case <-ctx.Done():
		return s.gaveUp(ctx, c)
	}
}

// outboxes are where frames are put together.
var outboxes = sync.Pool{New: func() any { return new(make([]byte, 0, 4<<10)) }}

// maxCopied is up to what size a payload is copied, to be written at once with
// what comes before it.
const maxCopied = 32 << 10

// errMeta says that an invocation's context has no room in a frame.
var errMeta = errors.New("the invocation's context is too large")

// send gives an invocation its place in the line and writes its frame.
func (s *session) send(ctx context.Context, inv *invocation.Invocation, begun func()) (*call, error) {
	buf := outboxes.Get().(*[]byte) // nothing else is in the pool
	defer outboxes.Put(buf)
	head := appendMeta((*buf)[:headerBytes], inv)
	meta, payload := len(head)-headerBytes, inv.Payload
	if meta > maxMetaBytes {
		return nil, errMeta
	}
	if len(payload) <= maxCopied {
		head, payload = append(head, payload...), nil
	}
	*buf = head[:0]
	// Frames go out in the order of the line.
	locked := s.lock(ctx)
	c := s.line.enter(inv.ID, begun)
	if locked != nil {
		return c, locked
	}
	defer s.unlock()
	flags := uint8(0)
	if running, _ := s.line.began(c); !running {
		flags = flagWaits
	}
	putHeader(head, frameInvoke, flags, c.number, meta, len(inv.Payload))
	return c, s.put(ctx, head, payload)
}

// write sends one frame that is no invocation's.
func (s *session) write(ctx context.Context, kind uint8, meta []byte) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	head := append(make([]byte, headerBytes, headerBytes+len(meta)), meta...)
	putHeader(head, kind, 0, 0, len(meta), 0)
	return s.put(ctx, head, nil)
}

// lock takes the right to write.
func (s *session) lock(ctx context.Context) error {
	select {
	case s.writing <- struct{}{}:
		return nil
	default:
	}
	select {
	case s.writing <- struct{}{}:
		return nil
	case <-s.done:
		return s.ended()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *session) unlock() { <-s.writing }

// put writes a frame in two parts. A cancelled write may leave half a frame
// behind, after which the session can only be closed.
func (s *session) put(ctx context.Context, head, payload []byte) error {
	n, err := s.link.write(head)
	if err != nil || n == len(head) && len(payload) == 0 {
		return err
	}
	// Somebody must read meanwhile: the runtime may wait until it can write.
	s.takeOver()
	if err := s.link.writeAll(ctx, head[n:]); err != nil {
		return err
	}
	return s.link.writeAll(ctx, payload)
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
// itself, unless calls are in line that it must not begin.
func (s *session) Close() error {
	var err error
	s.closed.Do(func() {
		if _, others := s.line.began(nil); others {
			s.kill()
			if s.exited(fatalGrace) {
				<-s.done // all is read by then that tells which calls had begun
			}
		}
		close(s.closing)
		s.link.shut(unix.SHUT_RDWR)
		err = s.out.Close()
	})
	s.running.Wait()
	s.in.idle.Stop()
	return errors.Join(err, s.link.close())
}
