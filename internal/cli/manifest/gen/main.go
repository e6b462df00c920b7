// Command gen writes the JSON schema of mayfly.yaml to the files it is given. It
// runs in the folder of package manifest, whose comments it reads.
package main

import (
	"log"
	"os"

	"mayfly.dev/mayfly/internal/cli/manifest"
)

func main() {
	text, err := manifest.Schema(".")
	if err != nil {
		log.Fatal(err)
	}
	for _, path := range os.Args[1:] {
		if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // it is documentation
			log.Fatal(err)
		}
	}
}
