// Package fault is the closed list of kinds that every platform error belongs
// to. Each front (AWS, native, gateway, CLI) maps kinds and reasons to its own
// dialect in one table; a function that fails is a result and never a fault.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies a platform error. The list is closed: a front's table covers
// all of [Kinds].
type Kind uint8

// The kinds. What carries none is Internal.
const (
	Internal Kind = iota
	Invalid
	NotFound
	AlreadyExists
	Conflict
	Unauthenticated
	Denied
	Throttled
	TooLarge
	Timeout
	Unavailable
	Unsupported
)

// Kinds lists every kind, for tests that a front's table is complete.
func Kinds() []Kind {
	return []Kind{
		Internal, Invalid, NotFound, AlreadyExists, Conflict, Unauthenticated,
		Denied, Throttled, TooLarge, Timeout, Unavailable, Unsupported,
	}
}

func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not found"
	case AlreadyExists:
		return "already exists"
	case Conflict:
		return "conflict"
	case Unauthenticated:
		return "unauthenticated"
	case Denied:
		return "denied"
	case Throttled:
		return "throttled"
	case TooLarge:
		return "too large"
	case Timeout:
		return "timeout"
	case Unavailable:
		return "unavailable"
	case Unsupported:
		return "unsupported"
	case Internal:
		return "internal"
	default:
		return fmt.Sprintf("kind(%d)", uint8(k))
	}
}

// Error is a classified platform error.
type Error struct {
	Kind Kind
	// Reason is a stable, searchable word such as "FunctionNotFound".
	Reason string
	// Detail is one sentence that the caller may read: what was wrong, where,
	// and what to do.
	Detail string
	// RetryAfter is how long the caller should wait; zero means unknown.
	RetryAfter time.Duration
	// Err is for the operator and never reaches the caller.
	Err error
}

// New returns an error of a kind whose detail is formatted as by [fmt.Sprintf].
func New(kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// Wrap is [New] with the cause for the operator.
func Wrap(err error, kind Kind, reason, format string, args ...any) *Error {
	return &Error{Kind: kind, Reason: reason, Detail: fmt.Sprintf(format, args...), Err: err}
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Detail, e.Err)
	}
	return e.Detail
}

// Unwrap returns the operator's cause.
func (e *Error) Unwrap() error { return e.Err }

// From returns the classified error in err's chain. An error without one comes
// back as Internal with a detail that says nothing of the inside.
func From(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Reason: "Internal", Detail: "the platform failed to handle the request", Err: err}
}

// Is reports whether err is classified as kind and, if reason is not empty,
// carries that reason.
func Is(err error, kind Kind, reason string) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return kind == Internal && reason == "" && err != nil
	}
	return e.Kind == kind && (reason == "" || e.Reason == reason)
}
