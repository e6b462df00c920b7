package faults_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// storm is a random mixture of all that goes wrong, on one node.
type storm struct {
	node

	until                       time.Time
	answered, failed, refused   atomic.Int64
	changes, shots, pauses, mem atomic.Int64
}

// TestSoak mixes everything at random for as long as the flag -soak says.
func TestSoak(t *testing.T) {
	number := *seed
	if number == 0 {
		number = rand.Uint64()
	}
	t.Logf("go test ./test/faults -run TestSoak -soak %s -seed %d", *soak, number)
	n := startNode(t, "--freeze-after", "200ms", "--max-queue", "50", "--init-timeout", "3s", "--memory", "3GiB")
	before := n.baseline(t)
	s := &storm{node: n, until: time.Now().Add(*soak)}
	for language := range languages {
		for i := range 3 {
			s.deploy(t, language, i, 0)
		}
	}
	const callers = 8
	var wg sync.WaitGroup
	for i := range callers {
		random := rand.New(rand.NewPCG(number, uint64(i)))
		wg.Go(func() {
			for time.Now().Before(s.until) && !t.Failed() {
				s.call(t, random)
			}
		})
	}
	random := rand.New(rand.NewPCG(number, callers))
	wg.Go(func() {
		for time.Now().Before(s.until) && !t.Failed() {
			s.strike(t, random)
		}
	})
	wg.Wait()
	t.Logf("%d calls succeeded, %d functions failed, %d calls were refused; %d changes, %d killings, %d pauses; %d MB at the most",
		s.answered.Load(), s.failed.Load(), s.refused.Load(), s.changes.Load(), s.shots.Load(), s.pauses.Load(), s.mem.Load()>>20)
	for language := range languages {
		for i := range 3 {
			s.deploy(t, language, i, 1)
			n.ok(t, stormName(language, i))
		}
	}
	n.rested(t, before)
}

func stormName(language string, i int) string { return fmt.Sprintf("storm-%s-%d", language, i) }

// deploy makes or changes a function. Another change may be under way.
func (s *storm) deploy(t *testing.T, language string, i, round int) {
	t.Helper()
	l := languages[language]
	settings := wire.Settings{
		Runtime: l.runtime, Handler: l.handler, TimeoutSeconds: 2, MaxEnvironments: 1 + 3*i, QueueTimeoutSeconds: 20,
		Env: map[string]string{"ROUND": strconv.Itoa(round)}, IdleTimeoutSeconds: 3,
	}
	if _, err := s.Put(t.Context(), stormName(language, i), nodetest.Zipped(t, l.file, *l.code), settings, client.PutOptions{}); err != nil {
		t.Errorf("deploy: %v", err)
	}
}

// weather is what calls ask for. Most of them are harmless.
var weather = strings.Fields(`{} {} {} {} {} {} {} {} {} {} {"wait":0.05} {"wait":0.05} {"do":"exit"} {"do":"raise"} {"do":"leak"} {"do":"leak"}
	{"do":"eat"} {"do":"cut"} {"do":"hang"} {"do":"burn"} {"do":"deaf"} {"later":"exit"} {"later":"eat"} {"later":"burn"} {"later":"count","after":1}`)

func (s *storm) call(t *testing.T, random *rand.Rand) {
	t.Helper()
	language := []string{"node", "python"}[random.IntN(2)]
	name, payload := stormName(language, random.IntN(3)), weather[random.IntN(len(weather))]
	s.invoke(t, name, payload)
}

// invoke calls a function, which may fail; the platform may refuse and not fail.
func (s *storm) invoke(t *testing.T, name, payload string) {
	t.Helper()
	r, err := s.Invoke(t.Context(), name, []byte(payload), client.InvokeOptions{})
	switch e := fault.From(err); {
	case err == nil && r.FunctionError == "":
		s.answered.Add(1)
	case err == nil:
		s.failed.Add(1)
	case e.Kind == fault.Throttled, e.Kind == fault.NotFound, e.Kind == fault.Conflict, e.Reason == "FunctionChanging":
		s.refused.Add(1)
	default:
		t.Errorf("%s with %s: the platform failed: %v", name, payload, err)
	}
}

// strike does to the node what calls can't.
func (s *storm) strike(t *testing.T, random *rand.Rand) {
	t.Helper()
	language, i := []string{"node", "python"}[random.IntN(2)], random.IntN(3)
	switch random.IntN(12) {
	case 0, 1, 2:
		s.deploy(t, language, i, random.IntN(1000))
		s.changes.Add(1)
	case 3, 4:
		if err := s.DeleteFunction(t.Context(), stormName(language, i)); err != nil {
			t.Errorf("delete: %v", err)
		}
		s.deploy(t, language, i, random.IntN(1000))
		s.changes.Add(1)
	case 5:
		s.shoot(t)
		s.shots.Add(1)
	case 6:
		s.Pause(time.Duration(random.IntN(1500)) * time.Millisecond)
		s.pauses.Add(1)
	case 7:
		s.flood(t, stormName(language, i))
	default:
		s.mem.Store(max(s.mem.Load(), int64(s.Metric("process_resident_memory_bytes"))))
		time.Sleep(time.Duration(random.IntN(1000)) * time.Millisecond)
	}
}

// flood calls a function from more sides than its queue has room for.
func (s *storm) flood(t *testing.T, name string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { s.invoke(t, name, `{"wait":0.02}`) })
	}
	wg.Wait()
}
