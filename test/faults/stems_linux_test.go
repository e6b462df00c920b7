package faults_test

import (
	"testing"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
)

// TestStemsThatDie kills runtimes that were started ahead, again and again: calls
// don't notice, and there are new ones.
func TestStemsThatDie(t *testing.T) {
	n := node{nodetest.Start(t)}
	for language := range languages {
		n.put(t, "stem-"+language, language, wire.Settings{})
		n.ok(t, "stem-"+language)
	}
	for range 3 {
		nodetest.Eventually(t, "runtimes are started ahead", func() bool { return n.Metric("mayfly_stems") > 0 })
		n.shoot(t)
		for language := range languages {
			n.ok(t, "stem-"+language)
		}
	}
}
