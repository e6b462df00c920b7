package catalog_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// childVariable makes the test binary, started again by a test, do what a test
// wants to be done in another process.
const childVariable = "MAYFLY_CATALOG_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		createForever(os.Args[len(os.Args)-1])
		return
	}
	// Every check starts and restarts nodes: a few with many steps do.
	if err := flag.Set("rapid.checks", "8"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// node is a catalog with its engine, in a directory.
type node struct {
	*catalog.Catalog
	dir  string
	stop func()
	idle func() // ends Run, and nothing else
}

// open starts a node without its background work.
func open(tb testing.TB, dir string) *node {
	tb.Helper()
	ctx := context.Background()
	e, err := engine.Start(ctx, engine.Config{Dir: filepath.Join(dir, "engine")})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := catalog.Open(ctx, catalog.Config{Engine: e, Dir: filepath.Join(dir, "code")})
	if err != nil {
		tb.Fatal(errors.Join(err, e.Close()))
	}
	n := &node{Catalog: c, dir: dir, idle: func() {}}
	n.stop = sync.OnceFunc(func() {
		n.idle()
		if err := errors.Join(c.Close(), e.Close()); err != nil {
			tb.Errorf("stop the node: %v", err)
		}
	})
	tb.Cleanup(func() { n.stop() })
	return n
}

// run starts a node with its background work.
func run(tb testing.TB, dir string) *node {
	tb.Helper()
	n := open(tb, dir)
	n.work(tb)
	return n
}

func (n *node) work(tb testing.TB) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	n.idle = sync.OnceFunc(func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			tb.Errorf("the background work ended with %v", err)
		}
	})
}

func packed(tb testing.TB, text string) []byte {
	tb.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create("index.js")
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

func (n *node) put(tb testing.TB, text string) function.Code {
	tb.Helper()
	code, err := n.PutCode(context.Background(), packed(tb, text))
	if err != nil {
		tb.Fatal(err)
	}
	return code
}

func newFunction(name string, code function.Code) catalog.NewFunction {
	return catalog.NewFunction{
		Namespace: function.DefaultNamespace, Name: name, Code: code,
		Settings: function.Settings{Runtime: "nodejs22.x", Handler: "index.handler"},
	}
}

func (n *node) create(tb testing.TB, name string, code function.Code) *function.Function {
	tb.Helper()
	f, err := n.Create(context.Background(), newFunction(name, code))
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (n *node) settled(tb testing.TB, name string) *function.Function {
	tb.Helper()
	f, err := n.Settled(context.Background(), function.DefaultNamespace, name)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (n *node) update(name, revision string, change func(*function.Version) error) (*function.Function, error) {
	return n.UpdateVersion(context.Background(), function.DefaultNamespace, name, revision, change)
}

func wantFault(tb testing.TB, err error, kind fault.Kind, reason string) {
	tb.Helper()
	if !fault.Is(err, kind, reason) {
		tb.Errorf("error is %v, want %v/%s", err, kind, reason)
	}
}

func describe(text string) func(*function.Version) error {
	return func(v *function.Version) error { v.Description = text; return nil }
}

func TestCreatedFunctionBecomesActive(t *testing.T) {
	n := run(t, t.TempDir())
	created := n.create(t, "hello", n.put(t, "code"))
	if created.State != function.Pending || created.Latest.MemoryMB != 128 || created.Latest.Revision == "" || created.Latest.Number != function.Latest {
		t.Errorf("created as %+v", created)
	}
	f := n.settled(t, "hello")
	if f.State != function.Active {
		t.Fatalf("settled as %s: %s", f.State, f.StateReason)
	}
	dir, err := n.CodeDir(t.Context(), f.Latest.Code.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "index.js")); err != nil || string(text) != "code" {
		t.Errorf("the code is %q, %v", text, err)
	}
	r, err := n.CodeZip(t.Context(), f.Latest.Code.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil || !bytes.Equal(got.Bytes(), packed(t, "code")) {
		t.Errorf("the package came back as %d bytes, %v", got.Len(), err)
	}
}

func TestWritesShowAtOnce(t *testing.T) {
	n := open(t, t.TempDir())
	code := n.put(t, "code")
	for i := range 20 {
		name := fmt.Sprintf("f%d", i)
		n.create(t, name, code)
		if _, err := n.Function("default", name); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Update(t.Context(), "default", name, func(f *function.Function) error {
			f.Tags = map[string]string{"a": "b"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if f, _ := n.Function("default", name); f.Tags["a"] != "b" {
			t.Fatalf("tags are %v", f.Tags)
		}
		if err := n.Delete(t.Context(), "default", name); err != nil {
			t.Fatal(err)
		}
		_, err := n.Function("default", name)
		wantFault(t, err, fault.NotFound, "FunctionNotFound")
	}
}

func TestUpdateTakesPlaceOfLatest(t *testing.T) {
	n := open(t, t.TempDir())
	n.create(t, "f", n.put(t, "one"))
	_, err := n.update("f", "", describe("too early"))
	wantFault(t, err, fault.Conflict, "UpdateInProgress")
	n.work(t)
	before := n.settled(t, "f")
	n.idle()

	two := n.put(t, "two")
	_, err = n.update("f", "another", describe("x"))
	wantFault(t, err, fault.Conflict, "RevisionMismatch")
	staged, err := n.update("f", before.Latest.Revision, func(v *function.Version) error {
		v.Code, v.MemoryMB, v.Number, v.Function = two, 256, "7", "other"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if staged.Next == nil || staged.Next.Code != two || staged.State != function.Active {
		t.Errorf("staged as %+v", staged)
	}
	if diff := cmp.Diff(before.Latest, staged.Latest); diff != "" {
		t.Errorf("latest changed before its time (-before +after):\n%s", diff)
	}
	_, err = n.update("f", "", describe("second"))
	wantFault(t, err, fault.Conflict, "UpdateInProgress")

	n.work(t)
	after := n.settled(t, "f")
	if diff := cmp.Diff(*staged.Next, after.Latest); diff != "" {
		t.Errorf("latest is not what was staged (-staged +latest):\n%s", diff)
	}
	if after.Latest.Number != function.Latest || after.Latest.Function != "f" || after.Latest.Revision == before.Latest.Revision {
		t.Errorf("latest is %+v", after.Latest)
	}
}

func TestUpdateThatChangeRefusesLeavesAllAsItWas(t *testing.T) {
	n := run(t, t.TempDir())
	n.create(t, "f", n.put(t, "code"))
	before := n.settled(t, "f")
	refused := errors.New("refused")
	_, err := n.update("f", "", func(v *function.Version) error { v.MemoryMB = 512; return refused })
	if !errors.Is(err, refused) {
		t.Errorf("update answers %v", err)
	}
	_, err = n.update("f", "", func(v *function.Version) error { v.MemoryMB = 1; return nil })
	wantFault(t, err, fault.Invalid, "MemorySize")
	_, err = n.update("f", "", func(v *function.Version) error { v.Code.SHA256 = fmt.Sprintf("%064d", 1); return nil })
	wantFault(t, err, fault.NotFound, "CodeNotFound")
	if after, _ := n.Function("default", "f"); !cmp.Equal(before, after) {
		t.Errorf("the function changed:\n%s", cmp.Diff(before, after))
	}
}

func TestFunctionLevelUpdate(t *testing.T) {
	n := run(t, t.TempDir())
	code := n.put(t, "code")
	n.create(t, "f", code)
	n.create(t, "g", code)
	before := n.settled(t, "f")
	id := catalog.NewURLID()
	url := &function.URL{ID: id, AuthType: "NONE", InvokeMode: "BUFFERED"}
	five := 5
	f, err := n.Update(t.Context(), "default", "f", func(f *function.Function) error {
		f.URL, f.ReservedConcurrency = url, &five
		f.Name, f.State, f.Latest.MemoryMB = "stolen", function.Failed, 9999
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.Name != "f" || f.State != function.Active || !cmp.Equal(f.Latest, before.Latest) {
		t.Errorf("more than the function's own was changed: %+v", f)
	}
	if got, err := n.FunctionByURL(id); err != nil || got.Name != "f" {
		t.Errorf("by its URL: %v, %v", got, err)
	}
	_, err = n.Update(t.Context(), "default", "g", func(f *function.Function) error { f.URL = url; return nil })
	wantFault(t, err, fault.AlreadyExists, "URLTaken")
	minus := -1
	_, err = n.Update(t.Context(), "default", "f", func(f *function.Function) error { f.ReservedConcurrency = &minus; return nil })
	wantFault(t, err, fault.Invalid, "ReservedConcurrency")
	if _, err = n.Update(t.Context(), "default", "f", func(f *function.Function) error { f.URL = nil; return nil }); err != nil {
		t.Fatal(err)
	}
	_, err = n.FunctionByURL(id)
	wantFault(t, err, fault.NotFound, "FunctionURLNotFound")
}

func TestBadFunctionsAreRefused(t *testing.T) {
	n := open(t, t.TempDir())
	code := n.put(t, "code")
	tags := map[string]string{}
	for i := range function.MaxTags + 1 {
		tags[strconv.Itoa(i)] = ""
	}
	cases := []struct {
		name   string
		change func(*catalog.NewFunction)
		kind   fault.Kind
		reason string
	}{
		{"name", func(f *catalog.NewFunction) { f.Name = "a.b" }, fault.Invalid, "FunctionName"},
		{"namespace", func(f *catalog.NewFunction) { f.Namespace = "a.b" }, fault.Invalid, "Namespace"},
		{"no namespace", func(f *catalog.NewFunction) { f.Namespace = "" }, fault.Invalid, "Namespace"},
		{"runtime", func(f *catalog.NewFunction) { f.Settings.Runtime = "" }, fault.Invalid, "Runtime"},
		{"tags", func(f *catalog.NewFunction) { f.Tags = tags }, fault.Invalid, "TooManyTags"},
		{"tag", func(f *catalog.NewFunction) { f.Tags = map[string]string{"": "x"} }, fault.Invalid, "TagKey"},
		{"digest", func(f *catalog.NewFunction) { f.Code.SHA256 = "../../etc" }, fault.Invalid, "CodeSha256"},
		{"code", func(f *catalog.NewFunction) { f.Code.SHA256 = fmt.Sprintf("%064d", 0) }, fault.NotFound, "CodeNotFound"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := newFunction("f", code)
			c.change(&f)
			_, err := n.Create(t.Context(), f)
			wantFault(t, err, c.kind, c.reason)
		})
	}
	_, err := n.PutCode(t.Context(), []byte("no zip"))
	wantFault(t, err, fault.Invalid, "CorruptPackage")
	_, err = n.CodeDir(t.Context(), "../engine")
	wantFault(t, err, fault.Invalid, "CodeSha256")
	_, err = n.CodeZip(t.Context(), fmt.Sprintf("%064d", 0))
	wantFault(t, err, fault.NotFound, "CodeNotFound")
	_, err = n.update("none", "", describe("x"))
	wantFault(t, err, fault.NotFound, "FunctionNotFound")
	wantFault(t, n.Delete(t.Context(), "default", "none"), fault.NotFound, "FunctionNotFound")
	_, err = n.Settled(t.Context(), "default", "none")
	wantFault(t, err, fault.NotFound, "FunctionNotFound")
}

func TestListingIsSortedAndPaged(t *testing.T) {
	n := open(t, t.TempDir())
	code := n.put(t, "code")
	for _, name := range []string{"b", "a", "d", "c"} {
		n.create(t, name, code)
	}
	other := newFunction("bb", code)
	other.Namespace = "zoo"
	if _, err := n.Create(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		namespace, after string
		limit            int
		want             string
		more             bool
	}{
		{"default", "", 10, "abcd", false},
		{"default", "", 4, "abcd", false},
		{"default", "", 3, "abc", true},
		{"default", "b", 1, "c", true},
		{"default", "c", 1, "d", false},
		{"default", "d", 1, "", false},
		{"default", "", 0, "", true},
		{"zoo", "", 1 << 62, "bb", false},
		{"none", "", 5, "", false},
	}
	for _, c := range cases {
		fs, more := n.Functions(c.namespace, c.after, c.limit)
		var names []string
		for _, f := range fs {
			names = append(names, f.Name)
		}
		if got := strings.Join(names, ""); got != c.want || more != c.more {
			t.Errorf("%s after %q, %d: got %q, %v; want %q, %v", c.namespace, c.after, c.limit, got, more, c.want, c.more)
		}
	}
}

func TestOneOfManyCreatorsWins(t *testing.T) {
	n := run(t, t.TempDir())
	code := n.put(t, "code")
	var wins atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := n.Create(t.Context(), newFunction("f", code))
			if err == nil {
				wins.Add(1)
			} else {
				wantFault(t, err, fault.AlreadyExists, "FunctionExists")
			}
		})
	}
	all.Wait()
	if wins.Load() != 1 {
		t.Errorf("%d creators won, want 1", wins.Load())
	}
}

func TestConcurrentChangesAreAllKept(t *testing.T) {
	n := run(t, t.TempDir())
	n.create(t, "f", n.put(t, "code"))
	n.settled(t, "f")
	var staged atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			_, err := n.Update(t.Context(), "default", "f", func(f *function.Function) error {
				if f.Tags == nil {
					f.Tags = map[string]string{}
				}
				f.Tags[strconv.Itoa(i)] = "x"
				return nil
			})
			if err != nil {
				t.Errorf("tag: %v", err)
			}
		})
		all.Go(func() {
			_, err := n.update("f", "", describe(strconv.Itoa(i)))
			if err == nil {
				staged.Add(1)
			} else {
				wantFault(t, err, fault.Conflict, "UpdateInProgress")
			}
		})
	}
	all.Wait()
	f := n.settled(t, "f")
	if len(f.Tags) != 8 || staged.Load() == 0 || f.Latest.Description == "" {
		t.Errorf("after %d updates: tags %v, description %q", staged.Load(), f.Tags, f.Latest.Description)
	}
}

func TestDeleteWhileUpdateIsInProgress(t *testing.T) {
	n := run(t, t.TempDir())
	n.create(t, "f", n.put(t, "one"))
	n.settled(t, "f")
	n.idle()
	if _, err := n.update("f", "", describe("staged")); err != nil {
		t.Fatal(err)
	}
	if err := n.Delete(t.Context(), "default", "f"); err != nil {
		t.Fatal(err)
	}
	n.work(t)
	n.create(t, "f", n.put(t, "two"))
	if f := n.settled(t, "f"); f.State != function.Active || f.Latest.Description != "" {
		t.Errorf("created again as %+v", f)
	}
}

func TestPendingFunctionsArePreparedAfterARestart(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir)
	n.create(t, "f", n.put(t, "code"))
	n.stop()
	if f := run(t, dir).settled(t, "f"); f.State != function.Active {
		t.Errorf("after the restart: %+v", f)
	}
}

func TestListenersHearEveryChangeInOrder(t *testing.T) {
	n := run(t, t.TempDir())
	var mu sync.Mutex
	var heard []string
	n.OnChange(func(before, after *function.Function) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, state(before)+">"+state(after))
	})
	n.create(t, "f", n.put(t, "code"))
	n.settled(t, "f")
	if _, err := n.update("f", "", describe("x")); err != nil {
		t.Fatal(err)
	}
	n.settled(t, "f")
	if err := n.Delete(t.Context(), "default", "f"); err != nil {
		t.Fatal(err)
	}
	n.create(t, "last", n.put(t, "code")) // the deletion was heard before
	n.stop()
	want := []string{"none>Pending", "Pending>Active", "Active>Active+next", "Active+next>Active", "Active>none", "none>Pending"}
	if diff := cmp.Diff(want, heard[:len(want)]); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
}

func state(f *function.Function) string {
	switch {
	case f == nil:
		return "none"
	case f.Next != nil:
		return string(f.State) + "+next"
	default:
		return string(f.State)
	}
}

func TestClosedCatalogAnswersWriters(t *testing.T) {
	n := open(t, t.TempDir())
	n.create(t, "f", n.put(t, "code"))
	n.stop()
	_, err := n.Settled(t.Context(), "default", "f")
	wantFault(t, err, fault.Unavailable, "CatalogClosed")
	_, err = n.update("f", "", describe("x"))
	wantFault(t, err, fault.Unavailable, "EngineClosed")
	if _, err := n.Function("default", "f"); err != nil {
		t.Errorf("reading after close: %v", err)
	}
}

func TestURLIDsAreUnlikeEachOther(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := catalog.NewURLID()
		if len(id) != 32 || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func BenchmarkFunction(b *testing.B) {
	n := open(b, b.TempDir())
	code := n.put(b, "code")
	for i := range 100 {
		n.create(b, fmt.Sprintf("function-%d", i), code)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := n.Function("default", "function-42"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkDeploy(b *testing.B) {
	n := run(b, b.TempDir())
	code := n.put(b, "code")
	i := 0
	for b.Loop() {
		i++
		n.create(b, fmt.Sprintf("f%d", i), code)
		n.settled(b, fmt.Sprintf("f%d", i))
	}
}
