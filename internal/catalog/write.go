package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// maxAttempts bounds how often a write is repeated because others change the
// same function at the same time; each time one of them has succeeded.
const maxAttempts = 32

// NewFunction is what a function is created from.
type NewFunction struct {
	Namespace, Name string
	// Settings may leave out what has a default.
	Settings function.Settings
	// Code is what PutCode returned.
	Code function.Code
	Tags map[string]string
}

// Create makes a function. It is Pending until its code is prepared, which
// [Catalog.Settled] waits for. The faults are Invalid, NotFound/"CodeNotFound"
// and AlreadyExists/"FunctionExists".
func (c *Catalog) Create(ctx context.Context, n NewFunction) (*function.Function, error) {
	if err := checkNames(n.Namespace, n.Name); err != nil {
		return nil, err
	}
	now := time.Now().UTC().Round(0)
	f := (&function.Function{
		Namespace: n.Namespace, Name: n.Name, State: function.Pending, Tags: n.Tags, Created: now,
		Latest: function.Version{
			Namespace: n.Namespace, Function: n.Name, Number: function.Latest,
			Settings: n.Settings, Code: n.Code, Revision: uuid.NewString(), Modified: now,
		},
	}).Clone()
	f.Latest.Fill()
	if err := f.Latest.Check(); err != nil {
		return nil, err
	}
	if err := c.checkFunction(f); err != nil {
		return nil, err
	}
	release, err := c.claimCode(ctx, f.Latest.Code)
	if err != nil {
		return nil, err
	}
	defer release()
	value, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode function %s: %w", n.Name, err)
	}
	revision, err := c.bucket.Create(ctx, key{n.Namespace, n.Name}.String(), value)
	if fault.Is(err, fault.AlreadyExists, "") {
		return nil, fault.Wrap(err, fault.AlreadyExists, "FunctionExists", "there already is a function %s", n.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("create function %s: %w", n.Name, err)
	}
	c.log.InfoContext(ctx, "function created", slog.String("namespace", n.Namespace), slog.String("function", n.Name))
	if err := c.awaitRevision(ctx, revision); err != nil {
		return nil, err
	}
	return f, nil
}

// UpdateVersion stages a change of a function's code or settings, which takes
// the place of Latest when it is prepared; [Catalog.Settled] waits for that.
// change gets a copy that it may change, more than once if others write at the
// same time. An empty revision stands for any. The faults are Invalid,
// NotFound/"FunctionNotFound", NotFound/"CodeNotFound",
// Conflict/"RevisionMismatch", and Conflict/"UpdateInProgress" while the
// function is being created or updated.
func (c *Catalog) UpdateVersion(ctx context.Context, namespace, name, revision string, change func(*function.Version) error) (*function.Function, error) {
	f, err := c.swap(ctx, key{namespace, name}, func(f *function.Function) error {
		switch {
		case unsettled(f):
			return fault.New(fault.Conflict, "UpdateInProgress", "an update of the function %s is in progress: wait until it is done", name)
		case revision != "" && revision != f.Latest.Revision:
			return fault.New(fault.Conflict, "RevisionMismatch", "the revision %s of the function %s is not the latest: read it again and repeat the change", revision, name)
		}
		next := f.Clone().Latest
		if err := change(&next); err != nil {
			return err
		}
		next.Namespace, next.Function, next.Number = namespace, name, function.Latest
		next.Revision, next.Modified = uuid.NewString(), time.Now().UTC().Round(0)
		next.Fill()
		f.Next, f.UpdateFailure = &next, ""
		return next.Check()
	})
	if err != nil {
		return nil, fmt.Errorf("update function %s: %w", name, err)
	}
	c.log.InfoContext(ctx, "function updated", slog.String("namespace", namespace), slog.String("function", name))
	return f, nil
}

// Update changes what belongs to a function as a whole: its URL, reserved
// concurrency and tags. Other changes are taken back. change gets a copy that
// it may change, more than once if others write at the same time. The faults
// are Invalid, NotFound/"FunctionNotFound" and AlreadyExists/"URLTaken".
func (c *Catalog) Update(ctx context.Context, namespace, name string, change func(*function.Function) error) (*function.Function, error) {
	f, err := c.swap(ctx, key{namespace, name}, func(f *function.Function) error {
		changed := f.Clone()
		if err := change(changed); err != nil {
			return err
		}
		f.URL, f.ReservedConcurrency, f.Tags = changed.URL, changed.ReservedConcurrency, changed.Tags
		return c.checkFunction(f)
	})
	if err != nil {
		return nil, fmt.Errorf("change function %s: %w", name, err)
	}
	return f, nil
}

// Delete removes a function, whatever state it is in, or fails with
// NotFound/"FunctionNotFound". Its code is removed later.
func (c *Catalog) Delete(ctx context.Context, namespace, name string) error {
	k := key{namespace, name}
	for range maxAttempts {
		_, revision, err := c.read(ctx, k)
		if err != nil {
			return err
		}
		err = c.bucket.DeleteRevision(ctx, k.String(), revision)
		if fault.Is(err, fault.Conflict, "StaleRevision") {
			continue
		}
		if err != nil {
			return fmt.Errorf("delete function %s: %w", name, err)
		}
		c.log.InfoContext(ctx, "function deleted", slog.String("namespace", namespace), slog.String("function", name))
		return c.await(ctx, func() bool {
			r, ok := c.view.functions.load(k)
			return !ok || r.revision > revision
		})
	}
	return busy(name)
}

// read returns a function as the engine has it now.
func (c *Catalog) read(ctx context.Context, k key) (*function.Function, uint64, error) {
	if checkNames(k.namespace, k.name) != nil {
		return nil, 0, notFound(k.name)
	}
	entry, err := c.bucket.Get(ctx, k.String())
	if fault.Is(err, fault.NotFound, "") {
		return nil, 0, notFound(k.name)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read function %s: %w", k.name, err)
	}
	f := new(function.Function)
	if err := json.Unmarshal(entry.Value, f); err != nil {
		return nil, 0, fmt.Errorf("read function %s: %w", k.name, err)
	}
	return f, entry.Revision, nil
}

// swap replaces a function by what change makes of it, and repeats that when
// somebody else was faster.
func (c *Catalog) swap(ctx context.Context, k key, change func(*function.Function) error) (*function.Function, error) {
	for range maxAttempts {
		f, revision, err := c.read(ctx, k)
		if err != nil {
			return nil, err
		}
		if err := change(f); err != nil {
			return nil, err
		}
		err = c.replace(ctx, k, f, revision)
		if err == nil {
			return f, nil
		}
		if !fault.Is(err, fault.Conflict, "StaleRevision") {
			return nil, err
		}
	}
	return nil, busy(k.name)
}

// replace writes f in the place of the given revision. The code that f stages
// is held until readers, and so the sweep, see that it is used.
func (c *Catalog) replace(ctx context.Context, k key, f *function.Function, revision uint64) error {
	release := func() {}
	if f.Next != nil {
		var err error
		if release, err = c.claimCode(ctx, f.Next.Code); err != nil {
			return err
		}
	}
	defer release()
	value, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encode function %s: %w", k.name, err)
	}
	if revision, err = c.bucket.Update(ctx, k.String(), value, revision); err != nil {
		return err
	}
	return c.awaitRevision(ctx, revision)
}

func busy(name string) error {
	return fault.New(fault.Conflict, "FunctionBusy", "the function %s is changed by many at the same time: try again", name)
}
