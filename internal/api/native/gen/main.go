// Command gen writes the OpenAPI document of the native API to the file that its
// argument names. Run it with go generate.
package main

import (
	"fmt"
	"os"

	"mayfly.dev/mayfly/internal/api/native"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE")
		os.Exit(2)
	}
	document := native.New(native.Config{}).Description()
	if err := os.WriteFile(os.Args[1], document, 0o644); err != nil { //nolint:gosec // a document
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}
