package node_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/auth"
)

// Bounds that only a hung node meets.
const (
	startLimit = time.Minute
	endLimit   = time.Minute
)

// nodes numbers the nodes of the run: each has user ids and a subnet of its own.
var nodes atomic.Int32

// node is a data directory and the process that serves it, one after the other.
type node struct {
	*client.Client

	t *testing.T
	// dir is the data directory, tmp the process's directory for temporary files.
	dir, tmp string
	firstUID int
	args     []string
	attr     *syscall.SysProcAttr // nil: the usual
	env      []string

	endpoint, gateway, token string

	cmd   *exec.Cmd
	log   *buffer
	ended chan struct{} // closed when the process has been waited for
}

// usersOfNode is how many user ids a node takes for its sandboxes.
const usersOfNode = 60000

// newNode makes the data directory of a node that is not started yet. At the
// end of the test it is stopped, if it runs, and must leave nothing behind.
func newNode(t *testing.T, args ...string) *node {
	t.Helper()
	number := int(nodes.Add(1))
	root := t.TempDir()
	n := &node{
		t: t, dir: filepath.Join(root, "data"), tmp: filepath.Join(root, "tmp"),
		firstUID: 1_000_000 + number*usersOfNode,
		args: append([]string{
			"--uid-base", strconv.Itoa(1_000_000 + number*usersOfNode),
			"--subnet", "10." + strconv.Itoa(100+number) + ".0.0/20",
		}, args...),
	}
	for _, dir := range []string{n.dir, n.tmp} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// startNode starts a node with an empty data directory.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	n := newNode(t, args...)
	n.start()
	t.Cleanup(func() {
		if n.running() {
			n.stop()
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.log)
		}
	})
	return n
}

// launch starts the process and returns the lines that it prints.
func (n *node) launch() io.Reader {
	n.t.Helper()
	n.log, n.ended = &buffer{}, make(chan struct{})
	args := append([]string{"up", "--data-dir", n.dir, "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, n.args...)
	n.cmd = exec.Command("/proc/self/exe", args...)
	n.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.tmp, "TMPDIR=" + n.tmp, "MAYFLY_NETLAB=inside", asNode + "=1",
		"GORACE=halt_on_error=0",
	}, n.env...)
	n.cmd.Stderr = n.log
	n.cmd.SysProcAttr = n.attr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	return out
}

// wait waits for the process's end in the background.
func (n *node) wait() {
	cmd, ended := n.cmd, n.ended
	go func() {
		_ = cmd.Wait() // the state says how it ended
		close(ended)
	}()
}

// start starts the process and waits until it serves.
func (n *node) start() {
	n.t.Helper()
	out := n.launch()
	serving := make(chan map[string]string, 1)
	go func() { // ends with the process
		said := map[string]string{}
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "  "); ok {
				said[name] = strings.TrimSpace(value)
			}
			if said["sandbox"] != "" {
				serving <- maps.Clone(said)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		n.wait()
	}()
	select {
	case said := <-serving:
		n.endpoint, n.gateway = said["control plane"], said["functions"]
	case <-n.ended:
		n.t.Fatalf("the node ended with %s:\n%s", n.cmd.ProcessState, n.log)
	case <-time.After(startLimit):
		_ = n.cmd.Process.Kill()
		n.t.Fatalf("the node does not start:\n%s", n.log)
	}
	n.connect()
}

func (n *node) connect() {
	n.t.Helper()
	keys, err := auth.OpenKeys(n.visible(n.dir))
	if err != nil {
		n.t.Fatal(err)
	}
	n.token = keys.Default().Token
	n.Client, err = client.New(client.Config{Endpoint: n.endpoint, Token: n.token})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.Client.Close)
}

// request is one of the native API, for what the client does not show.
func (n *node) request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.endpoint+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.token)
	return r
}

// visible is a path of the node's as the test sees it: the node may have a mount
// namespace of its own.
func (n *node) visible(path string) string {
	return filepath.Join("/proc", strconv.Itoa(n.cmd.Process.Pid), "root", path)
}

func (n *node) running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return n.cmd != nil
	}
}

func (n *node) signal(s os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// end waits for the process to end and returns its exit code, -1 after a signal.
func (n *node) end() int {
	n.t.Helper()
	select {
	case <-n.ended:
	case <-time.After(endLimit):
		n.signal(syscall.SIGQUIT)
		<-n.ended
		n.t.Fatalf("the node does not end:\n%s", n.log)
	}
	if strings.Contains(n.log.String(), "DATA RACE") {
		n.t.Errorf("the node has a data race:\n%s", n.log)
	}
	return n.cmd.ProcessState.ExitCode()
}

// stop ends the node as an operator does. Nothing of it may remain.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	if code := n.end(); code != 0 {
		n.t.Errorf("the node ended with exit code %d, want 0", code)
	}
	n.gone()
}

// kill ends the node as a crash does.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	n.end()
}

// gone fails the test if the node left something on the machine.
func (n *node) gone() {
	n.t.Helper()
	if traces := n.traces(); len(traces) > 0 {
		n.t.Errorf("the node left behind: %s", strings.Join(traces, ", "))
	}
}

// refuse starts a node that must not come up, and returns its exit code and
// what it said.
func (n *node) refuse() (code int, said string) {
	n.t.Helper()
	out := n.launch()
	go func() {
		_, _ = io.Copy(io.Discard, out)
		n.wait()
	}()
	code = n.end()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(n.log.String()), "\n"), func(l string) bool {
		return strings.HasPrefix(l, "time=")
	})
	return code, strings.Join(lines, "\n")
}

// metric reads one of the node's figures.
func (n *node) metric(name string) float64 {
	n.t.Helper()
	resp, err := http.Get(n.endpoint + "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		n.t.Fatal(err)
	}
	for line := range bytes.Lines(body) {
		if value, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			f, err := strconv.ParseFloat(string(bytes.TrimSpace(value)), 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return f
		}
	}
	n.t.Fatalf("there is no metric %s", name)
	return 0
}

// buffer is a [bytes.Buffer] that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits until ok holds; what says what is waited for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(endLimit); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", endLimit, what)
		}
	}
}
