package native

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"mayfly.dev/mayfly/internal/fault"
)

// maxDocumentBytes bounds a JSON body. The largest is a function with its 4 KiB
// of environment, 50 tags and descriptions.
const maxDocumentBytes = 256 << 10

// Stream is a request body that passes beside huma's codec. An input embeds it.
type Stream struct {
	request *http.Request
	writer  http.ResponseWriter
}

// Resolve notes where the body is. huma calls it before the operation.
func (s *Stream) Resolve(ctx huma.Context) []error {
	s.request, s.writer = humago.Unwrap(ctx)
	return nil
}

// read returns the whole body of at most limit bytes, which must arrive within
// timeout.
func (s *Stream) read(limit int64, timeout time.Duration, tooLarge error) ([]byte, error) {
	if s.request.ContentLength > limit {
		return nil, tooLarge
	}
	// A writer without deadlines (in tests) leaves the bound to the server.
	control := http.NewResponseController(s.writer)
	if err := control.SetReadDeadline(time.Now().Add(timeout)); err == nil {
		// A deadline that passes later would look like a client that has gone.
		defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	}
	var b bytes.Buffer
	if n := s.request.ContentLength; n > 0 {
		b.Grow(int(n) + bytes.MinRead) // so that reading the end does not grow it again
	}
	if _, err := b.ReadFrom(http.MaxBytesReader(s.writer, s.request.Body, limit)); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, tooLarge
		}
		return nil, incomplete(err)
	}
	return b.Bytes(), nil
}

// download streams content to the client. The header must be set before.
func download(content io.ReadCloser) func(huma.Context) {
	return func(ctx huma.Context) {
		defer func() { _ = content.Close() }() // it was only read
		// A failure in the middle can only be shown by cutting the answer off.
		if _, err := io.Copy(ctx.BodyWriter(), content); err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func errTooLarge(reason, what string, limit int64) error {
	return fault.New(fault.TooLarge, reason, "%s is larger than %d bytes", what, limit)
}
