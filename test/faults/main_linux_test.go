// Package faults_test runs whole nodes in bad weather: functions that die at every
// phase, hang, hoard memory and never answer, floods, changes in the midst of
// bursts, a machine that stands still. After each a node must hold of the machine
// what it held before, and go on serving.
//
// The clock of one process can't be turned. A node measures spans with a clock that
// only goes forward, and what it decides from times are pure functions, whose tests
// hand them clocks that jump (autoscaler, auth/sigv4). What remains is time that
// passes unseen: a node that is stopped and continued finds all its timers late
// (TestTimePassesWhileTheNodeStandsStill).
package faults_test

import (
	_ "embed" // the functions
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

var (
	soak = flag.Duration("soak", time.Minute, "how long TestSoak lasts")
	seed = flag.Uint64("seed", 0, "what TestSoak does, 0: something new")
)

func TestMain(m *testing.M) { os.Exit(nodetest.Main(m)) }

var (
	//go:embed testdata/weather.py
	pythonWeather []byte
	//go:embed testdata/index.js
	nodeWeather []byte
)

// languages are the ways to run bad weather.
var languages = map[string]struct {
	file, runtime, handler string
	code                   *[]byte
}{
	"python": {"weather.py", "python3.10", "weather.handler", &pythonWeather},
	"node":   {"index.js", "nodejs18.x", "index.handler", &nodeWeather},
}

// node is a node under test.
type node struct{ *nodetestNode }

type nodetestNode = nodetest.Node

// startNode starts a node without stem environments, whose number follows the
// demand of late: what the node holds is to be compared.
func startNode(t *testing.T, args ...string) node {
	t.Helper()
	return node{nodetest.Start(t, append([]string{"--stems", "off"}, args...)...)}
}

// put deploys bad weather in a language. What settings leaves out is the usual.
func (n node) put(t *testing.T, name, language string, s wire.Settings) {
	t.Helper()
	l := languages[language]
	s.Runtime, s.Handler = l.runtime, l.handler
	if s.TimeoutSeconds == 0 {
		s.TimeoutSeconds = 60
	}
	if _, err := n.Put(t.Context(), name, nodetest.Zipped(t, l.file, *l.code), s, client.PutOptions{}); err != nil {
		t.Fatalf("deploy %s: %v", name, err)
	}
}

// ok calls a function until the weather is over: an environment and the stem that
// takes its place may have ended so lately that nobody has noticed, then a call must
// succeed, whatever the last one left behind.
func (n node) ok(t *testing.T, name string) {
	t.Helper()
	const tries = 3
	for range tries {
		if r := n.Call(t, name, "{}"); r.FunctionError == "" {
			return
		}
	}
	r := n.Call(t, name, "{}")
	t.Errorf("%s still fails with %s %s after %d calls", name, r.ErrorType, r.Payload, tries)
}

// baseline is what the node holds after it has served once, has frozen what was
// idle, and has lost everything.
func (n node) baseline(t *testing.T) nodetest.Held {
	t.Helper()
	for _, language := range []string{"python", "node"} {
		n.put(t, "first-"+language, language, wire.Settings{})
		n.ok(t, "first-"+language)
		nodetest.Eventually(t, "the environment is frozen", func() bool { return n.InState(t, "first-"+language, "frozen") == 1 })
	}
	n.clear(t)
	return n.Held()
}

// clear deletes all functions and waits until their environments have ended.
func (n node) clear(t *testing.T) {
	t.Helper()
	for f, err := range n.Functions(t.Context()) {
		if err == nil {
			err = n.DeleteFunction(t.Context(), f.Name)
		}
		if err != nil && !fault.Is(err, fault.NotFound, "") {
			t.Fatal(err)
		}
	}
	nodetest.Eventually(t, "all environments have ended", func() bool {
		return n.Metric("mayfly_environments_memory_bytes") == 0 && len(n.Processes()) == 0
	})
	n.Close()
}

// rested waits until the node holds what it held before, and looks for faults in
// its log.
func (n node) rested(t *testing.T, before nodetest.Held) {
	t.Helper()
	n.clear(t)
	n.Rested(t, before)
	for line := range strings.Lines(n.Log.String()) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the node logged %s", line)
		}
	}
}
