package language

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// maxProbes bounds the interpreters that are asked at one time.
const maxProbes = 2

// Finder finds the interpreters on this machine. The zero value asks every
// program anew.
type Finder struct {
	// CacheFile remembers the answers of programs, so that a program is asked
	// once until it changes; empty: nothing is remembered.
	CacheFile string
	// Log receives, at level Debug, why a program was passed over; nil discards.
	Log *slog.Logger

	places *places // nil: this machine's, for this process's user
}

// Scan is [Finder.Scan] without a cache.
func Scan(ctx context.Context) ([]Interpreter, error) { return Finder{}.Scan(ctx) }

// Scan returns the interpreters that the shims work on, sorted by family and
// version. It looks at $PATH, the system's directories, /opt and the usual
// version managers of the process's user. A program that does not answer is
// passed over; the error is the context's alone.
func (f Finder) Scan(ctx context.Context) ([]Interpreter, error) {
	log := f.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	where := here()
	if f.places != nil {
		where = *f.places
	}
	files := where.candidates()
	known := readCache(f.CacheFile)
	answers := make([]answer, len(files))
	var group errgroup.Group
	group.SetLimit(maxProbes)
	for i, file := range files {
		group.Go(func() error {
			answers[i] = known.ask(ctx, log, file)
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := writeCache(f.CacheFile, known, files, answers); err != nil {
		log.WarnContext(ctx, "the list of interpreters could not be remembered; the next start is slower", "file", f.CacheFile, "err", err)
	}
	return collect(answers), nil
}

// ask returns what the program at file is, from memory if it has not changed.
// That it is no interpreter is remembered too.
func (c cache) ask(ctx context.Context, log *slog.Logger, file string) answer {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 || ctx.Err() != nil {
		return answer{}
	}
	stamp := stampOf(info)
	if a, ok := c[file]; ok && a.Stamp == stamp && a.intact() {
		return a
	}
	in, err := probe(ctx, file)
	if err != nil {
		log.DebugContext(ctx, "a program is not used as an interpreter", "file", file, "err", err)
		if final(err) {
			return answer{Stamp: stamp}
		}
		return answer{}
	}
	return answer{Stamp: stamp, Interpreter: &in}
}

// collect returns each interpreter once: two programs may lead to the same.
func collect(answers []answer) []Interpreter {
	var found []Interpreter
	for _, a := range answers {
		if a.Interpreter != nil {
			found = append(found, *a.Interpreter)
		}
	}
	slices.SortFunc(found, func(a, b Interpreter) int {
		if c := strings.Compare(string(a.Family), string(b.Family)); c != 0 {
			return c
		}
		if c := a.release().compare(b.release()); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return slices.CompactFunc(found, func(a, b Interpreter) bool { return a.Path == b.Path })
}
