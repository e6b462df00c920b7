package aws_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/invocation"
)

// fakeCatalog keeps functions in memory. What it makes is pending until settle.
type fakeCatalog struct {
	mu        sync.Mutex
	functions map[string]*function.Function
	code      map[string][]byte
	manual    bool // functions settle by settle alone
}

func newCatalog() *fakeCatalog {
	return &fakeCatalog{functions: map[string]*function.Function{}, code: map[string][]byte{}}
}

func (c *fakeCatalog) Function(_, name string) (*function.Function, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.functions[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
	}
	return f, nil
}

func (c *fakeCatalog) Functions(_, after string, limit int) ([]*function.Function, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*function.Function
	for name, f := range c.functions {
		if name > after {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b *function.Function) int { return strings.Compare(a.Name, b.Name) })
	if len(all) > limit {
		return all[:limit], true
	}
	return all, false
}

func (c *fakeCatalog) PutCode(_ context.Context, zip []byte) (function.Code, error) {
	if !bytes.HasPrefix(zip, []byte("PK")) {
		return function.Code{}, fault.New(fault.Invalid, "CorruptPackage", "not a zip")
	}
	sum := sha256.Sum256(zip)
	digest := hex.EncodeToString(sum[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.code[digest] = zip
	return function.Code{SHA256: digest, SizeBytes: int64(len(zip))}, nil
}

func (c *fakeCatalog) CodeZip(_ context.Context, digest string) (io.ReadCloser, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return io.NopCloser(bytes.NewReader(c.code[digest])), nil
}

func (c *fakeCatalog) Create(_ context.Context, n catalog.NewFunction) (*function.Function, error) {
	n.Settings.Fill()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.functions[n.Name] != nil {
		return nil, fault.New(fault.AlreadyExists, "FunctionExists", "there is one")
	}
	f := &function.Function{
		Namespace: n.Namespace, Name: n.Name, State: function.Pending, Tags: n.Tags, Created: time.Now(),
		Latest: function.Version{Settings: n.Settings, Code: n.Code, Number: function.Latest, Revision: uuid.NewString(), Modified: time.Now()},
	}
	c.functions[n.Name] = f
	if !c.manual {
		c.functions[n.Name] = settled(f)
	}
	return f, nil
}

func settled(f *function.Function) *function.Function {
	f = f.Clone()
	f.State = function.Active
	if f.Next != nil {
		f.Latest, f.Next = *f.Next, nil
	}
	return f
}

func (c *fakeCatalog) settle(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.functions[name] = settled(c.functions[name])
}

func (c *fakeCatalog) UpdateVersion(_ context.Context, _, name, revision string, change func(*function.Version) error) (*function.Function, error) {
	return c.change(name, func(f *function.Function) error {
		switch {
		case f.Next != nil:
			return fault.New(fault.Conflict, "UpdateInProgress", "an update is in progress")
		case revision != "" && revision != f.Latest.Revision:
			return fault.New(fault.Conflict, "RevisionMismatch", "stale")
		}
		next := f.Clone().Latest
		next.Revision, next.Modified = uuid.NewString(), time.Now()
		f.Next = &next
		return change(&next)
	})
}

func (c *fakeCatalog) Update(_ context.Context, _, name string, change func(*function.Function) error) (*function.Function, error) {
	return c.change(name, change)
}

func (c *fakeCatalog) change(name string, change func(*function.Function) error) (*function.Function, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.functions[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
	}
	f = f.Clone()
	if err := change(f); err != nil {
		return nil, err
	}
	c.functions[name] = f
	if !c.manual {
		c.functions[name] = settled(f)
	}
	return f, nil
}

func (c *fakeCatalog) Delete(_ context.Context, _, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.functions[name] == nil {
		return fault.New(fault.NotFound, "FunctionNotFound", "there is no function %s", name)
	}
	delete(c.functions, name)
	return nil
}

// fakeInvoker answers with what it got, or as it is told.
type fakeInvoker struct {
	mu     sync.Mutex
	got    *invocation.Invocation
	result *invocation.Result
	err    error
	panics bool
}

func (i *fakeInvoker) Invoke(_ context.Context, inv *invocation.Invocation) (*invocation.Result, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.got = inv
	if i.panics {
		panic("boom")
	}
	if i.result != nil || i.err != nil {
		return i.result, i.err
	}
	return &invocation.Result{Payload: inv.Payload, ContentType: "application/json", ExecutedVersion: "$LATEST", LogTail: []byte("END\n")}, nil
}

// fakeStore is a bucket in memory.
type fakeStore struct {
	mu       sync.Mutex
	entries  map[string]engine.Entry
	revision uint64
}

func newStore() *fakeStore { return &fakeStore{entries: map[string]engine.Entry{}} }

func (s *fakeStore) Get(_ context.Context, key string) (engine.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok {
		return e, fault.New(fault.NotFound, "KeyNotFound", "no key")
	}
	return e, nil
}

func (s *fakeStore) Create(_ context.Context, key string, value []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.entries[key]; ok {
		return 0, fault.New(fault.AlreadyExists, "KeyExists", "key exists")
	}
	return s.put(key, value)
}

func (s *fakeStore) put(key string, value []byte) (uint64, error) {
	s.revision++
	s.entries[key] = engine.Entry{Key: key, Value: value, Revision: s.revision}
	return s.revision, nil
}

func (s *fakeStore) Update(_ context.Context, key string, value []byte, revision uint64) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].Revision != revision {
		return 0, fault.New(fault.Conflict, "StaleRevision", "stale")
	}
	return s.put(key, value)
}

func (s *fakeStore) DeleteRevision(_ context.Context, key string, revision uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.entries[key].Revision != revision {
		return fault.New(fault.Conflict, "StaleRevision", "stale")
	}
	delete(s.entries, key)
	return nil
}

func (s *fakeStore) Keys(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.entries))
	for k := range s.entries {
		keys = append(keys, k)
	}
	return keys, nil
}
