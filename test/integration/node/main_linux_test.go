// Package node_test runs whole nodes, as processes of their own, and does to
// them what the world does: calls them, fills their disks, stops and kills them.
package node_test

import (
	"os"
	"testing"

	"mayfly.dev/mayfly/test/nodetest"
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }

// running has another name than the client's method Node, which node shows too.
type running = nodetest.Node

// node is a node under test, with the tests that share one.
type node struct{ *running }

func newNode(t *testing.T, args ...string) *node {
	t.Helper()
	return &node{nodetest.New(t, args...)}
}

func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	return &node{nodetest.Start(t, args...)}
}
