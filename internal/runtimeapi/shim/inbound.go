package shim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

func (s *session) handle(f *frame) error {
	switch f.kind {
	case frameStarted:
		s.hasStarted()
		return nil
	case frameReady:
		s.drain()
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

// hasStarted notes that the runtime runs; that it says so again counts for
// nothing.
func (s *session) hasStarted() {
	select {
	case <-s.started:
	default:
		if !s.begun.IsZero() {
			s.took = time.Since(s.begun)
		}
		close(s.started)
	}
}

func (s *session) initialized(err error) {
	s.readyOnce.Do(func() {
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
	s.drain()
	if f.tooLarge() {
		r := s.tooLarge(f)
		s.initialized(&runtimeapi.InitError{Type: r.ErrorType, Payload: r.Payload})
		return nil
	}
	s.initialized(&runtimeapi.InitError{Type: m.Type, Payload: f.own()})
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
	s.emit(runtimeapi.Line{
		RequestID: s.line.of(f.invocation),
		Time:      time.UnixMicro(int64(binary.BigEndian.Uint64(f.meta))),
		Stream:    stream,
		Text:      f.own(),
	})
	return nil
}

// drain hands over what is in the pipes: all that user code wrote before it sent
// what was read last.
func (s *session) drain() {
	if !s.in.drained {
		s.in.drained = true
		s.out.Drain()
	}
}

func (s *session) answered(f *frame) error {
	a := answer{fatal: f.kind == frameError && f.flags&flagFatal != 0}
	switch {
	case f.tooLarge():
		a.result = s.tooLarge(f)
	case f.kind == frameError:
		m, err := decodeErrorMeta(f)
		if err != nil {
			return err
		}
		a.result = &invocation.Result{
			Payload: f.own(), ContentType: contentType, FunctionError: invocation.Unhandled, ErrorType: m.Type,
		}
	default:
		a.result = &invocation.Result{Payload: f.own(), ContentType: contentType}
	}
	// Before anybody else is taken for the one who writes.
	s.drain()
	if c := s.line.settle(f.invocation, a.fatal); c != nil {
		c.answer <- a
	} // otherwise nobody waits for it: a second answer counts for nothing
	return nil
}

const contentType = "application/json"

// tooLarge is the result of a call whose answer was dropped for its size.
func (s *session) tooLarge(f *frame) *invocation.Result {
	s.log.Debug("an answer was too large", "bytes", f.size, "most", invocation.MaxResponseBytes)
	return invocation.TooLarge()
}
