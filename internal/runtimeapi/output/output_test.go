package output_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/runtimeapi/output"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines gathers what is emitted.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) add(line runtimeapi.Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf("%s %s %s", line.Stream, line.RequestID, line.Text))
}

func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	taken := l.all
	l.all = nil
	return taken
}

// begin returns an output that is being read, and a process's ends of it.
func begin(t *testing.T, cfg output.Config) (o *output.Output, stdout, stderr *os.File) {
	t.Helper()
	o, err := output.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr = inherit(t, o.Stdout()), inherit(t, o.Stderr())
	o.Begin()
	t.Cleanup(func() {
		if err := o.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("close: %v", err)
		}
	})
	return o, stdout, stderr
}

// inherit copies a descriptor as a new process would get it.
func inherit(t *testing.T, f *os.File) *os.File {
	t.Helper()
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	own := os.NewFile(uintptr(fd), f.Name())
	t.Cleanup(func() { _ = own.Close() })
	return own
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

func TestDrainHandsOverWhatWasWrittenBefore(t *testing.T) {
	var got lines
	o, stdout, stderr := begin(t, output.Config{Emit: got.add, Request: func() string { return "r-1" }})
	for range 200 { // the reader and the drain take turns in every order
		write(t, stdout, "one\n\ntwo")
		write(t, stderr, "three\n")
		o.Drain()
		all := strings.Join(got.take(), "|")
		for _, stream := range []string{"stdout r-1 one|", "stdout r-1 |", "stdout r-1 two", "stderr r-1 three"} {
			if !strings.Contains(all, stream) {
				t.Fatalf("lines after the drain = %q, want %q among them", all, stream)
			}
		}
	}
	o.Drain()
	if all := got.take(); len(all) > 0 {
		t.Errorf("lines that nobody wrote: %q", all)
	}
}

// TestDrainEmptiesTheLargestPipe fills the pipe as far as a process can before
// anybody reads.
func TestDrainEmptiesTheLargestPipe(t *testing.T) {
	const line = "0123456789abcde\n"
	var got lines
	o, err := output.New(output.Config{Emit: got.add})
	if err != nil {
		t.Fatal(err)
	}
	stdout := inherit(t, o.Stdout())
	size := enlarge(stdout)
	write(t, stdout, strings.Repeat(line, size/len(line)))
	o.Drain()
	if all := got.take(); len(all) != size/len(line) {
		t.Errorf("%d lines, want %d", len(all), size/len(line))
	}
	if err := o.Close(); err != nil {
		t.Errorf("close before begin: %v", err)
	}
}

func TestLongLineComesInParts(t *testing.T) {
	var got lines
	o, stdout, _ := begin(t, output.Config{Emit: got.add})
	// The reader makes room for what the pipe can't hold.
	write(t, stdout, strings.Repeat("x", 600<<10)+"\n")
	o.Drain()
	var sizes []int
	for _, line := range got.take() {
		sizes = append(sizes, len(line)-len("stdout  "))
	}
	if diff := cmp.Diff([]int{256 << 10, 256 << 10, 88 << 10}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
}

func TestOutputThatNobodyWantsIsRead(t *testing.T) {
	o, stdout, stderr := begin(t, output.Config{})
	write(t, stdout, strings.Repeat("x", 100<<10))
	write(t, stderr, strings.Repeat("y", 100<<10))
	o.Drain()
}

func TestReaderEndsWithTheLastWriter(t *testing.T) {
	ended := make(chan string, 1)
	_, stdout, _ := begin(t, output.Config{Emit: func(l runtimeapi.Line) { ended <- string(l.Text) }})
	write(t, stdout, "last words")
	_ = stdout.Close()
	if got := <-ended; got != "last words" {
		t.Errorf("got %q, want the unfinished line", got)
	}
}

func TestCloseEndsReadersOfAPipeThatIsStillHeld(t *testing.T) {
	var got lines
	o, stdout, _ := begin(t, output.Config{Emit: got.add})
	write(t, stdout, "before\n")
	o.Drain()
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	o.Drain() // does nothing
	if _, err := io.WriteString(stdout, "after"); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after close: %v, want a broken pipe", err)
	}
	if diff := cmp.Diff([]string{"stdout  before"}, got.take()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}
