// Command gen writes the reference page of the command line to the file that it
// is given.
package main

import (
	"log"
	"os"

	"mayfly.dev/mayfly/internal/cli"
)

func main() {
	if err := os.WriteFile(os.Args[1], []byte(cli.Reference()), 0o644); err != nil { //nolint:gosec // it is documentation
		log.Fatal(err)
	}
}
