package lambda

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"mayfly.dev/mayfly/internal/invocation"
	"mayfly.dev/mayfly/internal/runtimeapi"
)

const (
	apiVersion     = "/2018-06-01"
	pathNext       = apiVersion + "/runtime/invocation/next"
	pathInitError  = apiVersion + "/runtime/init/error"
	pathPing       = apiVersion + "/ping"
	pathInvocation = apiVersion + "/runtime/invocation/"
)

// handle answers one request, or registers it as the /next that waits. An error
// means that the connection is of no more use.
func (c *conn) handle(req *http.Request) error {
	if req.ProtoMajor != 1 || req.ProtoMinor == 0 {
		req.Close = true
	}
	path := req.URL.Path
	switch path {
	case pathNext:
		return c.only(req, http.MethodGet, c.handleNext)
	case pathInitError:
		return c.only(req, http.MethodPost, c.handleInitError)
	case pathPing:
		return c.only(req, http.MethodGet, func(req *http.Request) error {
			return c.reply(req.Close, http.StatusOK, "text/plain", []byte("pong"))
		})
	}
	if rest, ok := strings.CutPrefix(path, pathInvocation); ok {
		id, verb, _ := strings.Cut(rest, "/")
		switch verb {
		case "response":
			return c.only(req, http.MethodPost, func(req *http.Request) error { return c.handleAnswer(req, id, readResponse) })
		case "error":
			return c.only(req, http.MethodPost, func(req *http.Request) error { return c.handleAnswer(req, id, readError) })
		}
	}
	return c.refuse(req, http.StatusNotFound, "NotFound", "the Runtime API has no path "+path)
}

func (c *conn) only(req *http.Request, method string, handle func(*http.Request) error) error {
	if req.Method != method {
		return c.refuse(req, http.StatusMethodNotAllowed, "MethodNotAllowed", "use "+method+" for "+req.URL.Path)
	}
	return handle(req)
}

// refuse answers a request whose body is not wanted. A client that waits for
// "100 Continue" may or may not send it after this, so that the connection can't
// be used any further.
func (c *conn) refuse(req *http.Request, status int, errorType, message string) error {
	if req.Header.Get("Expect") != "" {
		req.Close = true
	}
	return c.replyError(req.Close, status, errorType, message)
}

func (c *conn) refuseState(req *http.Request, err error) error {
	if errors.Is(err, errUnknownID) {
		return c.refuse(req, http.StatusBadRequest, "InvalidRequestID", "no invocation of this id is running")
	}
	return c.refuse(req, http.StatusForbidden, "InvalidStateTransition", err.Error())
}

func (c *conn) handleNext(req *http.Request) error {
	if !c.discard(req) || c.gone() {
		return errTruncated
	}
	p := &poll{conn: c, last: req.Close, over: make(chan struct{})}
	call, err := c.register(p)
	switch {
	case err != nil:
		return c.refuseState(req, err)
	case call != nil:
		c.session.deliver(context.Background(), call, p)
	default:
		c.poll = p
	}
	return nil
}

// register makes p a /next that waits, if need be in place of another whose client
// has gone.
func (c *conn) register(p *poll) (*call, error) {
	for {
		call, others, err := c.session.next(p)
		if err == nil || !c.session.abandonGone(others) {
			return call, err
		}
	}
}

// answerReader makes a result of an answer's request.
type answerReader func(c *conn, req *http.Request) (*invocation.Result, error)

func (c *conn) handleAnswer(req *http.Request, id string, read answerReader) error {
	call, err := c.session.begin(id)
	if err != nil {
		return c.refuseState(req, err)
	}
	res, err := read(c, req)
	c.session.finish(call, res)
	switch {
	case err == nil:
		return c.reply(req.Close, http.StatusAccepted, "application/json", accepted)
	case errors.Is(err, errTooLarge):
		return c.refuseLarge(req)
	case errors.Is(err, errMode):
		return c.refuse(req, http.StatusBadRequest, "InvalidFunctionResponseMode", errMode.Error())
	default:
		req.Close = true
		return c.replyError(req.Close, http.StatusBadRequest, "TruncatedHTTPRequest", errTruncated.Error())
	}
}

// refuseLarge takes the rest of the body first: a client that is still sending
// would meet a reset connection instead of the answer.
func (c *conn) refuseLarge(req *http.Request) error {
	uninvited := req.Header.Get("Expect") != "" && req.ContentLength > invocation.MaxResponseBytes
	if !uninvited && !c.discard(req) {
		req.Close = true
	}
	return c.refuse(req, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", errTooLarge.Error())
}

func (c *conn) handleInitError(req *http.Request) error {
	if err := c.session.claimInitError(); err != nil {
		return c.refuseState(req, err)
	}
	res, err := readFailure(c, req, "Runtime.Unknown")
	c.session.failInit(&runtimeapi.InitError{Type: res.ErrorType, Payload: jsonFailure(res)})
	switch {
	case err == nil:
		return c.reply(req.Close, http.StatusAccepted, "application/json", accepted)
	case errors.Is(err, errTooLarge):
		return c.refuseLarge(req)
	default:
		req.Close = true
		return c.replyError(req.Close, http.StatusBadRequest, "TruncatedHTTPRequest", errTruncated.Error())
	}
}
