package node_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/test/nodetest"
)

// deployed is all that a node says of a function, its code included.
type deployed struct {
	Function wire.Function
	Code     []byte
}

func (n *node) deployed(t *testing.T) map[string]deployed {
	t.Helper()
	all := map[string]deployed{}
	for f, err := range n.Functions(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		archive, _, err := n.Code(t.Context(), f.Name)
		if err != nil {
			t.Fatal(err)
		}
		code, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		archive.Close()
		all[f.Name] = deployed{f, code}
	}
	return all
}

func TestWhatIsDeployedSurvives(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	for l := range languages {
		n.deploy(t, l, l, wire.Settings{
			Description: "of " + l, MemoryMB: 200, TimeoutSeconds: 7, EphemeralMB: 600, IdleTimeoutSeconds: 30,
			Env: map[string]string{"LANGUAGE": l}, Egress: &wire.Egress{Mode: "allow", Allow: []string{"203.0.113.0/24"}},
		})
	}
	if _, _, err := n.PutFunction(t.Context(), "node", wire.FunctionSpec{
		Settings: n.deployed(t)["node"].Function.Settings, Tags: map[string]string{"team": "a", "cost": "0"},
	}, client.PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := n.PutURL(t.Context(), "python", wire.URLSpec{CORS: &wire.CORS{AllowOrigins: []string{"*"}, MaxAgeSeconds: 60}}); err != nil {
		t.Fatal(err)
	}
	if err := n.PutConcurrency(t.Context(), "custom", 3); err != nil {
		t.Fatal(err)
	}
	n.deployRelease(t, "removed", 1)
	if err := n.DeleteFunction(t.Context(), "removed"); err != nil {
		t.Fatal(err)
	}
	want := n.deployed(t)
	if len(want) != len(languages) || want["node"].Function.Tags["team"] != "a" || want["python"].Function.URL == nil || want["custom"].Function.ReservedConcurrency == nil {
		t.Fatalf("deployed: %+v", want)
	}
	for name, end := range map[string]func(){"SIGTERM": n.Stop, "SIGKILL": n.Kill} {
		end()
		n.Start()
		// The data plane took another port.
		if diff := cmp.Diff(want, n.deployed(t), cmpopts.IgnoreFields(wire.URL{}, "Address")); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", name, diff)
		}
		for l := range languages {
			n.Want(t, l, `"hello"`, `"hello"`)
		}
	}
}

// TestKilledWhileDeploying kills a node that is busy with deployments: what was
// acknowledged is there, and nothing is there in part.
func TestKilledWhileDeploying(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	const deployers, enough = 4, 8
	var mu sync.Mutex
	acknowledged := map[string]int{} // the number that a function should return
	tried := map[string]int{}
	working, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for d := range deployers {
		archives := [][]byte{release(t, 100*d), release(t, 100*d+1)}
		wg.Go(func() {
			for i := 0; working.Err() == nil; i++ {
				name, version := fmt.Sprintf("f-%d-%d", d, i/2), i%2 // each is made and then changed
				mu.Lock()
				tried[name] = 100*d + version
				mu.Unlock()
				_, err := n.Put(working, name, archives[version], releases, client.PutOptions{})
				if err != nil {
					return // the node has gone
				}
				mu.Lock()
				acknowledged[name] = 100*d + version
				mu.Unlock()
			}
		})
	}
	nodetest.Eventually(t, "some are deployed", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged) >= enough
	})
	n.Kill()
	stop()
	wg.Wait()
	n.Start()
	there := n.deployed(t)
	for name := range acknowledged {
		if _, ok := there[name]; !ok {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(there)) {
		nodetest.Eventually(t, name+" is ready", func() bool {
			f, err := n.Function(t.Context(), name)
			return err == nil && f.State == "Active" && !f.Updating && f.UpdateFailure == ""
		})
		got := string(n.Call(t, name, "{}").Payload)
		// A change that was under way may have been kept or not.
		if want, ok := acknowledged[name]; got != strconv.Itoa(tried[name]) && (!ok || got != strconv.Itoa(want)) {
			t.Errorf("%s returned %s, want %d or %d", name, got, want, tried[name])
		}
	}
}

// TestLeftoversOfACrash kills a node with functions at work, one of which sees
// to it that it outlives the node. The next start removes what is left of it and
// does not touch a neighbour.
func TestLeftoversOfACrash(t *testing.T) {
	t.Parallel()
	neighbour, n := startNode(t), startNode(t)
	var calls sync.WaitGroup
	code := neighbour.deploy(t, "python", "python", wire.Settings{})
	n.deploy(t, "python", "python", wire.Settings{})
	n.deploy(t, "node", "node", wire.Settings{})
	home := string(neighbour.Call(t, "python", `{"do":"sleep","ms":0}`).Payload)
	n.Want(t, "node", "1", "1")
	crashing, crashed := context.WithTimeout(t.Context(), time.Minute)
	defer crashed()
	calls.Go(func() {
		if _, err := n.Invoke(crashing, "python", []byte(`{"do":"survive","ms":60000}`), client.InvokeOptions{}); err == nil {
			t.Error("a call outlived its node")
		}
	})
	nodetest.Eventually(t, "the survivor is settled", func() bool {
		page, err := n.Logs(t.Context(), "python", client.LogQuery{})
		return err == nil && slices.ContainsFunc(page.Lines, func(l wire.Line) bool { return l.Text == "settled in" })
	})
	calls.Go(func() { neighbour.Want(t, "python", `{"do":"wait","file":"go"}`, home) })
	nodetest.Eventually(t, "the neighbour works", func() bool { return neighbour.Busy(t, "python") == 1 })

	n.Kill()
	left := n.Traces()
	if len(n.Processes()) == 0 || len(left) == len(n.Processes()) {
		t.Fatalf("the crash left %q: the test shows nothing", left)
	}
	n.Start()
	still := n.Traces()
	for _, trace := range left {
		// Two things have the same name at every start.
		if slices.Contains(still, trace) && filepath.Base(trace) != n.GroupName() && !strings.HasSuffix(trace, "_guard") {
			t.Errorf("after the next start there still is %s", trace)
		}
	}
	neighbour.open(t, code, "go")
	calls.Wait()
	neighbour.Want(t, "python", `{"do":"sleep","ms":0}`, home)
	n.Want(t, "python", "1", "1")
}
