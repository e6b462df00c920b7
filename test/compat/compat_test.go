package compat_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"mayfly.dev/mayfly/test/compat"
)

const (
	account = "000000000000"
	role    = "arn:aws:iam::" + account + ":role/lambda"
	// source is a function that gives back what it got, fails if told to, or waits
	// for as many milliseconds as it is told.
	source = `
exports.handler = async (event, context) => {
  console.log("got", JSON.stringify(event));
  if (event.fail) throw new TypeError("told to fail");
  if (event.wait) await new Promise((resolve) => setTimeout(resolve, event.wait));
  return { event, client: context.clientContext ?? null, variable: process.env.VARIABLE ?? null };
};
`
)

// node is shared by all tests: each takes names of its own.
var node *compat.Node

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if node, err = compat.StartNode(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := node.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// name returns a function's name of its own for a test.
func name(t *testing.T) string {
	t.Helper()
	return strings.NewReplacer("/", "-", " ", "_").Replace(t.Name())
}

func zipped(t *testing.T, file, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
