// Command golang is a function built with the official library for Go.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do   string `json:"do"`
	Size int    `json:"size"`
}

func handle(ctx context.Context, raw json.RawMessage) (any, error) {
	var e event
	if err := json.Unmarshal(raw, &e); err != nil {
		return nil, err
	}
	switch e.Do {
	case "fail":
		return nil, errors.New("as asked")
	case "panic":
		panic("as asked")
	case "large":
		return strings.Repeat("x", e.Size), nil
	case "wait":
		<-released
		return "waited", nil
	case "release":
		close(released)
		return "released", nil
	case "break":
		return io.MultiReader(strings.NewReader("half of it"), broken{}), nil
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	fmt.Println("working on", lc.AwsRequestID)
	return map[string]any{"event": raw, "id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "deadline": deadline.UnixMilli()}, nil
}

// released ends what waits for another invocation.
var released = make(chan struct{})

// broken fails after the response has begun.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New(strings.Repeat("broke off ", 1000)) }

func main() { lambda.Start(handle) }
