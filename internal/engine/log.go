package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
)

// serverLog gives the embedded store's log to ours: its notices are of no
// interest to whoever runs a node, its warnings and errors are. It also keeps
// the first fatal message, by which the store says that it could not start.
type serverLog struct {
	log *slog.Logger

	mu    sync.Mutex // guards first
	first string
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("engine notice", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("engine warning", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("engine error", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		l.first = fmt.Sprintf(format, v...)
	}
}

func (l *serverLog) Debugf(format string, v ...any) {
	l.log.Debug("engine debug", slog.String("text", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Tracef(format string, v ...any) {
	l.log.Debug("engine trace", slog.String("text", fmt.Sprintf(format, v...)))
}

// fatal returns the message by which the store gave up, or nil.
func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.first == "" {
		return nil
	}
	return errors.New(l.first)
}
