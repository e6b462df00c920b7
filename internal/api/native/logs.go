package native

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/telemetry"
)

const (
	// heartbeat keeps an idle stream alive through proxies and finds out clients
	// that have gone.
	heartbeat = 15 * time.Second
	// streamBuffer is how many lines wait while one is written.
	streamBuffer = 256
)

type logsInput struct {
	FunctionInput
	Since       time.Time `query:"since" doc:"The earliest time, inclusive"`
	Until       time.Time `query:"until" doc:"The latest time, exclusive"`
	RequestID   string    `query:"requestId" doc:"Only the lines of one invocation"`
	Limit       int       `query:"limit" default:"1000" minimum:"0" maximum:"10000" doc:"How many lines; with follow, how many earlier lines come first"`
	After       string    `query:"after" doc:"A cursor: only lines behind it"`
	Newest      bool      `query:"newest" doc:"The last lines instead of the first"`
	Follow      bool      `query:"follow" doc:"Stream lines as server-sent events"`
	LastEventID string    `header:"Last-Event-ID" doc:"What a browser sends when it reconnects; stands for after"`
}

type logsOutput struct {
	ContentType string `header:"Content-Type"`
	Body        func(huma.Context)
}

func (a *API) registerLogs() {
	logs := get(functionPath+"/logs", "get-logs", "invocations", "Read or follow a function's log")
	logs.Description = "With follow=true the answer is a stream of server-sent events: each event \"line\" carries a Line and its cursor as id; an event \"end\" carries a Problem when the node ends the stream. Comments keep it alive."
	schema := a.huma.OpenAPI().Components.Schemas.Schema
	logs.Responses = map[string]*huma.Response{"200": {
		Description: "OK",
		Content: map[string]*huma.MediaType{
			jsonType:    {Schema: schema(reflect.TypeFor[wire.LogPage](), true, "LogPage")},
			eventStream: {Schema: schema(reflect.TypeFor[wire.Line](), true, "Line")},
		},
	}}
	operation(a, logs, a.logs)
}

func (a *API) logs(ctx context.Context, in *logsInput) (*logsOutput, error) {
	if in.After == "" {
		in.After = in.LastEventID
	}
	after, err := numberPlace(lineCursor, in.After)
	if err != nil {
		return nil, err
	}
	q := telemetry.LogQuery{
		Namespace: in.Namespace, Function: in.Name, RequestID: in.RequestID,
		Since: in.Since, Until: in.Until, After: after, Limit: in.Limit, Newest: in.Newest,
	}
	if in.Follow {
		return a.follow(ctx, in, q)
	}
	if in.Limit == 0 {
		return nil, fault.New(fault.Invalid, "InvalidRequest", "a limit of 0 lines goes with follow=true alone")
	}
	lines, err := a.cfg.Telemetry.Logs(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		if err := a.exists(in.FunctionInput); err != nil {
			return nil, err
		}
	}
	page := wire.LogPage{Lines: make([]wire.Line, 0, len(lines))}
	for _, l := range lines {
		page.Lines = append(page.Lines, showLine(l))
	}
	if len(lines) == in.Limit && !in.Newest {
		page.Next = page.Lines[len(lines)-1].Cursor
	}
	return &logsOutput{ContentType: jsonType, Body: func(ctx huma.Context) {
		if err := huma.DefaultJSONFormat.Marshal(ctx.BodyWriter(), page); err != nil {
			panic(err)
		}
	}}, nil
}

// follow answers with a stream. There are at most maxStreams at once.
func (a *API) follow(ctx context.Context, in *logsInput, q telemetry.LogQuery) (*logsOutput, error) {
	if err := a.exists(in.FunctionInput); err != nil {
		return nil, err
	}
	if q.Limit == 0 {
		q.Limit = -1 // none, to the store
	}
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, &fault.Error{
			Kind: fault.Throttled, Reason: "TooManyStreams", RetryAfter: 10 * time.Second,
			Detail: fmt.Sprintf("%d logs are being followed, which is the most at once: end one of them", maxStreams),
		}
	}
	return &logsOutput{ContentType: eventStream, Body: func(h huma.Context) {
		defer func() { <-a.streams }()
		h.SetHeader("Cache-Control", "no-store")
		h.SetStatus(http.StatusOK)
		a.stream(ctx, q)
	}}, nil
}

var errStopping = fault.New(fault.Unavailable, "Draining",
	"the node is stopping: follow again in a moment, with the last event's id as after")

// stream writes what the store finds until the client goes, the node stops or
// the store fails.
func (a *API) stream(ctx context.Context, q telemetry.LogQuery) {
	following, cancel := context.WithCancel(ctx)
	lines, done := make(chan telemetry.Line, streamBuffer), make(chan struct{})
	var failure error // of the store, once done is closed
	go func() {
		defer close(done)
		failure = a.cfg.Telemetry.Follow(following, q, func(l telemetry.Line) error {
			select {
			case lines <- l:
				return nil
			case <-following.Done():
				return context.Cause(following)
			}
		})
	}()
	s := newEvents(callOf(ctx).writer)
	end := a.pump(ctx, s, lines, done)
	cancel()
	<-done
	if end == nil {
		end = failure
	}
	if end != nil && ctx.Err() == nil {
		s.send("end", "", a.problem(ctx, end).Problem)
		s.flush()
	}
}

// pump passes lines on until one of the sides ends. It returns errStopping if
// that is the node.
func (a *API) pump(ctx context.Context, s *events, lines <-chan telemetry.Line, done <-chan struct{}) error {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	s.comment("following")
	for s.err == nil {
		select {
		case l := <-lines:
			s.line(l)
			if len(lines) == 0 {
				s.flush()
			}
		case <-beat.C:
			s.comment("still here")
		case <-a.cfg.Stopping:
			return errStopping
		case <-done:
			for len(lines) > 0 {
				s.line(<-lines)
			}
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
