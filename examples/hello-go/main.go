// Command hello-go is a web function in Go, compiled to a static program at
// deploy:
//
//	mayfly deploy examples/hello-go
//	mayfly invoke hello-go --data '{"name": "you"}'
//	curl "$(mayfly url hello-go)?name=you"
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"log"
	"runtime"

	"github.com/aws/aws-lambda-go/lambda"
)

// event is what this function reads of what the caller sends.
type event struct {
	Name  string            `json:"name"`
	Query map[string]string `json:"queryStringParameters"`
}

type response struct {
	StatusCode int               `json:"statusCode"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
}

func handle(_ context.Context, e event) (response, error) {
	name := cmp.Or(e.Query["name"], e.Name, "world")
	log.Printf("greeting %s", name)

	body, err := json.Marshal(map[string]string{"message": "Hello, " + name + ", from " + runtime.Version() + "!"})
	return response{
		StatusCode: 200,
		Headers:    map[string]string{"content-type": "application/json"},
		Body:       string(body),
	}, err
}

func main() {
	lambda.Start(handle)
}
