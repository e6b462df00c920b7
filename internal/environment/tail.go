package environment

import (
	"sync"

	"mayfly.dev/mayfly/internal/invocation"
)

// tail keeps the end of a call's log.
type tail struct {
	mu  sync.Mutex
	buf []byte
}

func (t *tail) add(line string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(append(t.buf, line...), '\n')
	if over := len(t.buf) - 2*invocation.LogTailBytes; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
}

// bytes returns the last [invocation.LogTailBytes].
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf[max(0, len(t.buf)-invocation.LogTailBytes):]
}
