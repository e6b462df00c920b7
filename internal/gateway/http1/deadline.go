package http1

import "time"

// deadline is a deadline of a connection as it was last set. Setting one moves a
// timer of the runtime's, and may wake a thread for it; so the common ones are
// set ahead and left alone while they are near enough.
type deadline struct{ at time.Time }

// set makes the deadline d from now.
func (l *deadline) set(apply func(time.Time) error, now time.Time, d time.Duration) {
	l.at = now.Add(d)
	_ = apply(l.at) // of a connection that is closed, as the next call will tell
}

// atMost makes the deadline d from now or up to a sixteenth of d earlier.
func (l *deadline) atMost(apply func(time.Time) error, now time.Time, d time.Duration) {
	if left := l.at.Sub(now); left > d || left < d-d/16 {
		l.set(apply, now, d)
	}
}

// atLeast makes the deadline d from now or up to a quarter of d later.
func (l *deadline) atLeast(apply func(time.Time) error, now time.Time, d time.Duration) {
	if l.at.Sub(now) < d {
		l.set(apply, now, d+d/4)
	}
}

// clear has the next deadline set whatever it is.
func (l *deadline) clear() { l.at = time.Time{} }
