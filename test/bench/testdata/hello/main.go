// Command hello is the custom runtime that the benchmarks call. With an argument
// it prints a line and ends, which is what its cold start is compared with.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

type response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

func handle(context.Context, json.RawMessage) (response, error) {
	return response{StatusCode: 200, Headers: map[string]string{"content-type": "text/plain"}, Body: "hello"}, nil
}

func main() {
	if len(os.Args) > 1 {
		fmt.Println("hello")
		return
	}
	lambda.Start(handle)
}
