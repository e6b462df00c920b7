package lambda

import (
	"context"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

var _ runtimeapi.Session = (*stillbornSession)(nil)

// stillbornSession stands for a bootstrap that could not be started: its init
// phase has failed and nothing runs.
type stillbornSession struct {
	err  *runtimeapi.InitError
	done chan struct{}
}

func stillborn(err *runtimeapi.InitError) *stillbornSession {
	s := &stillbornSession{err: err, done: make(chan struct{})}
	close(s.done)
	return s
}

// Ready returns why nothing could be started.
func (s *stillbornSession) Ready(context.Context) error { return s.err }

// Invoke returns why nothing could be started.
func (s *stillbornSession) Invoke(context.Context, *invocation.Invocation) (*invocation.Result, error) {
	return nil, s.err
}

// Started returns zero.
func (s *stillbornSession) Started() time.Duration { return 0 }

// Done is closed from the start.
func (s *stillbornSession) Done() <-chan struct{} { return s.done }

// Close does nothing.
func (s *stillbornSession) Close() error { return nil }
