package nodetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Metric reads one of the node's figures.
func (n *Node) Metric(name string) float64 {
	n.T.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, n.Endpoint+"/metrics", http.NoBody)
	if err != nil {
		n.T.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		n.T.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		n.T.Fatal(err)
	}
	for line := range bytes.Lines(body) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			f, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			if err != nil {
				n.T.Fatal(err)
			}
			return f
		}
	}
	n.T.Fatalf("there is no metric %s", name)
	return 0
}

// Held is how much of the machine a node holds.
type Held struct {
	// Goroutines and Files are the process's own, Namespaces the network namespaces
	// that it has open.
	Goroutines, Files, Namespaces int
	// These are its sandboxes', Groups those of all hierarchies together.
	Processes, Groups, Mounts, Loops int
}

// Held counts what the node holds now.
func (n *Node) Held() Held {
	n.T.Helper()
	return Held{
		Goroutines: int(n.Metric("go_goroutines")), Files: int(n.Metric("process_open_fds")), Namespaces: n.networks(),
		Processes: len(n.Processes()), Groups: len(n.cgroups()), Mounts: len(n.mounts()), Loops: len(n.loops()),
	}
}

// slack is by how many goroutines and files a node at rest may differ from
// itself: connections of clients come and go.
const slack = 4

// More lists what there is more of in h than in before.
func (h Held) More(before Held) []string {
	var more []string
	for _, c := range []struct {
		what          string
		before, after int
	}{
		{"goroutines", before.Goroutines + slack, h.Goroutines},
		{"open files", before.Files + slack, h.Files},
		{"network namespaces", before.Namespaces, h.Namespaces},
		{"processes", before.Processes, h.Processes},
		{"cgroups", before.Groups, h.Groups},
		{"mounts", before.Mounts, h.Mounts},
		{"loop devices", before.Loops, h.Loops},
	} {
		if c.after > c.before {
			more = append(more, strconv.Itoa(c.after)+" "+c.what+" instead of "+strconv.Itoa(c.before))
		}
	}
	return more
}

// networks counts the network namespaces that the process has open: one for each
// sandbox, and those that it keeps ready.
func (n *Node) networks() int {
	n.T.Helper()
	files, err := filepath.Glob(filepath.Join(n.proc(), "fd", "*"))
	if err != nil {
		n.T.Fatal(err)
	}
	distinct := map[string]bool{}
	for _, file := range files {
		if target, err := os.Readlink(file); err == nil && strings.HasPrefix(target, "net:[") {
			distinct[target] = true
		}
	}
	return len(distinct)
}

// Rested waits until the node holds what it held before.
func (n *Node) Rested(tb testing.TB, before Held) {
	tb.Helper()
	var after Held
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(EndLimit); ; <-tick.C {
		n.Client.Close() // idle connections are goroutines and files of the node
		after = n.Held()
		if len(after.More(before)) == 0 {
			break
		}
		if time.Now().After(deadline) {
			tb.Fatalf("after %s the node still holds %s\nits processes: %s", EndLimit, strings.Join(after.More(before), ", "), n.Processes())
		}
	}
	tb.Logf("before %+v, after %+v", before, after)
}
