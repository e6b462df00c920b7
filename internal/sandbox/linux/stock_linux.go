package linux

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// stock keeps a few things ready that take long to make, and makes the next ones
// in the background.
type stock[T any] struct {
	ready chan T
	make  func() (T, error)
	drop  func(T) error
	log   *slog.Logger

	wanted chan struct{} // holds a token while ready may have room
	cancel context.CancelFunc
	done   chan struct{}
}

// refillDelay is about how long a sandbox takes to start.
const refillDelay = 5 * time.Millisecond

// newStock returns a stock of up to size things. close must be called.
func newStock[T any](size int, produce func() (T, error), drop func(T) error, log *slog.Logger) *stock[T] {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:gosec // close cancels it
	s := &stock[T]{
		ready: make(chan T, size), make: produce, drop: drop, log: log,
		wanted: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}),
	}
	s.wanted <- struct{}{}
	go s.fill(ctx) // close waits for it
	return s
}

// take returns a thing that is ready, or makes one.
func (s *stock[T]) take() (T, error) {
	select {
	case v := <-s.ready:
		select {
		case s.wanted <- struct{}{}:
		default:
		}
		return v, nil
	default:
		return s.make()
	}
}

// fill makes things while there is room for them. After a failure it waits for
// the next one to be taken: whoever takes it gets the error, if it is still there.
func (s *stock[T]) fill(ctx context.Context) {
	defer close(s.done)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wanted:
		}
		// The start that has taken one goes first.
		if pause(ctx, refillDelay) != nil {
			return
		}
		for ctx.Err() == nil && len(s.ready) < cap(s.ready) {
			v, err := s.make()
			if err != nil {
				s.log.WarnContext(ctx, "can't prepare for sandboxes ahead", "err", err)
				break
			}
			s.ready <- v // has room: nobody else puts things in
		}
	}
}

// close drops what is ready.
func (s *stock[T]) close() error {
	s.cancel()
	<-s.done
	var errs []error
	for {
		select {
		case v := <-s.ready:
			errs = append(errs, s.drop(v))
		default:
			return errors.Join(errs...)
		}
	}
}
