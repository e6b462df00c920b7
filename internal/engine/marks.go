package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// marks is the last sequence number that each stream is known to have reached.
// Sequence numbers never go back, but the embedded store, when it meets a
// damaged record at start, drops it and all that follow it without a word. The
// marks, written when a stream is opened and when the engine closes, show that.
type marks map[string]uint64

const marksFile = "marks.json"

func (m marks) load(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, marksFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return startFault(dir, err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return corrupt(filepath.Join(dir, marksFile), err)
	}
	return nil
}

// save replaces the file as a whole, so that a crash leaves the old or the new.
func (m marks) save(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode the marks of the streams: %w", err)
	}
	temporary := filepath.Join(dir, marksFile+".tmp")
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, filepath.Join(dir, marksFile)); err != nil {
		return err
	}
	return syncDir(dir)
}

// checkMark fails with Unavailable/"StoreCorrupt" when the stream has lost
// something at its end, and marks how far it has come. The caller holds mu.
func (e *Engine) checkMark(ctx context.Context, stream string) error {
	last, err := e.lastSequence(ctx, stream)
	if err != nil {
		return err
	}
	known := e.marks[stream]
	if last < known {
		return corrupt(e.streamDir(stream), fmt.Errorf("it ends at %d and has once reached %d", last, known))
	}
	if last == known {
		return nil
	}
	e.marks[stream] = last
	if err := e.marks.save(e.dir); err != nil {
		return e.fault(err, "mark the streams of %s", e.dir)
	}
	return nil
}

// mark notes how far every open stream has come.
func (e *Engine) mark() error {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, stream := range e.streams() {
		last, err := e.lastSequence(ctx, stream)
		if err != nil {
			return err
		}
		e.marks[stream] = last
	}
	if err := e.marks.save(e.dir); err != nil {
		return e.fault(err, "mark the streams of %s", e.dir)
	}
	return nil
}

// streams names the streams that are open; the caller holds mu.
func (e *Engine) streams() []string {
	var names []string
	for name := range e.buckets {
		names = append(names, "KV_"+name)
	}
	for name := range e.objects {
		names = append(names, "OBJ_"+name)
	}
	return names
}

func (e *Engine) lastSequence(ctx context.Context, stream string) (uint64, error) {
	s, err := e.js.Stream(ctx, stream)
	if err != nil {
		return 0, e.fault(err, "inspect %s", stream)
	}
	return s.CachedInfo().State.LastSeq, nil
}
