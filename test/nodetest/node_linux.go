package nodetest

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
	EndLimit   = time.Minute
)

// nodes numbers the nodes of the run: each has user ids and a subnet of its own.
var nodes atomic.Int32

// Node is a data directory and the process that serves it, one after the other.
type Node struct {
	*client.Client

	T testing.TB
	// Dir is the data directory.
	Dir string
	// Attr and Env are how the process differs from the usual.
	Attr *syscall.SysProcAttr
	Env  []string
	// Endpoint and Gateway are the addresses of the process that serves.
	Endpoint, Gateway string
	// Log is what the process has written to standard error.
	Log *Buffer

	tmp      string // the process's directory for temporary files
	firstUID int
	args     []string
	token    string
	cmd      *exec.Cmd
	ended    chan struct{} // closed when the process has been waited for
}

// usersOfNode is how many user ids a node takes for its sandboxes.
const usersOfNode = 60000

// firstUIDOf returns the first user id of a node of a test's process. Tests of
// several packages run at the same time and tell their nodes' processes by them.
func firstUIDOf(pid, number int) int {
	const nodesOfProcess, processes = 33, 1000
	return 10_000_000 + (pid%processes*nodesOfProcess+number%nodesOfProcess)*usersOfNode
}

// New makes the data directory of a node that is not started yet.
func New(tb testing.TB, args ...string) *Node {
	tb.Helper()
	number := int(nodes.Add(1))
	firstUID := firstUIDOf(os.Getpid(), number)
	root := tb.TempDir()
	n := &Node{
		T: tb, Dir: filepath.Join(root, "data"), tmp: filepath.Join(root, "tmp"),
		firstUID: firstUID,
		args: append([]string{
			"--uid-base", strconv.Itoa(firstUID),
			"--subnet", "10." + strconv.Itoa(100+number) + ".0.0/20",
		}, args...),
	}
	for _, dir := range []string{n.Dir, n.tmp} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			tb.Fatal(err)
		}
	}
	return n
}

// Start starts a node with an empty data directory. At the end of the test it is
// stopped, if it runs, and must leave nothing behind.
func Start(tb testing.TB, args ...string) *Node {
	tb.Helper()
	n := New(tb, args...)
	n.Start()
	tb.Cleanup(func() {
		if n.Running() {
			n.Stop()
		}
		if tb.Failed() {
			tb.Logf("log of the node:\n%s", n.Log)
		}
	})
	return n
}

// launch starts the process and returns the lines that it prints.
func (n *Node) launch() io.Reader {
	n.T.Helper()
	n.Log, n.ended = &Buffer{}, make(chan struct{})
	args := append([]string{"up", "--data-dir", n.Dir, "--control", "127.0.0.1:0", "--gateway", "127.0.0.1:0"}, n.args...)
	n.cmd = exec.CommandContext(context.Background(), "/proc/self/exe", args...)
	n.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.tmp, "TMPDIR=" + n.tmp, "MAYFLY_NETLAB=inside", asNode + "=1",
		"GORACE=halt_on_error=0",
	}, n.Env...)
	n.cmd.Stderr = n.Log
	n.cmd.SysProcAttr = n.Attr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		n.T.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		n.T.Fatal(err)
	}
	return out
}

// Launch starts the process and does not wait until it serves.
func (n *Node) Launch() {
	n.T.Helper()
	out := n.launch()
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, out)
		n.wait()
	}()
}

// wait waits for the process's end in the background.
func (n *Node) wait() {
	cmd, ended := n.cmd, n.ended
	go func() {
		_ = cmd.Wait() // the state says how it ended
		close(ended)
	}()
}

// Start starts the process and waits until it serves.
func (n *Node) Start() {
	n.T.Helper()
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
		n.Endpoint, n.Gateway = said["control plane"], said["functions"]
	case <-n.ended:
		n.T.Fatalf("the node ended with %s:\n%s", n.cmd.ProcessState, n.Log)
	case <-time.After(startLimit):
		_ = n.cmd.Process.Kill()
		n.T.Fatalf("the node does not start:\n%s", n.Log)
	}
	n.connect()
}

func (n *Node) connect() {
	n.T.Helper()
	keys, err := auth.OpenKeys(n.Visible(n.Dir))
	if err != nil {
		n.T.Fatal(err)
	}
	n.token = keys.Default().Token
	n.Client, err = client.New(client.Config{Endpoint: n.Endpoint, Token: n.token})
	if err != nil {
		n.T.Fatal(err)
	}
	n.T.Cleanup(n.Client.Close)
}

// Request is one of the native API, for what the client does not show.
func (n *Node) Request(ctx context.Context, method, path, body string) *http.Request {
	n.T.Helper()
	r, err := http.NewRequestWithContext(ctx, method, n.Endpoint+path, strings.NewReader(body))
	if err != nil {
		n.T.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+n.token)
	return r
}

// Visible is a path of the node's as the test sees it: the node may have a mount
// namespace of its own.
func (n *Node) Visible(path string) string {
	return filepath.Join(n.proc(), "root", path)
}

// proc is the process's directory below /proc.
func (n *Node) proc() string { return filepath.Join("/proc", strconv.Itoa(n.cmd.Process.Pid)) }

// Running reports whether the process runs.
func (n *Node) Running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return n.cmd != nil
	}
}

// Signal sends the process a signal.
func (n *Node) Signal(s os.Signal) {
	n.T.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.T.Fatal(err)
	}
}

// Pause stops the process for a while and has it go on.
func (n *Node) Pause(d time.Duration) {
	n.T.Helper()
	n.Signal(syscall.SIGSTOP)
	<-time.After(d)
	n.Signal(syscall.SIGCONT)
}

// End waits for the process to end and returns its exit code, -1 after a signal.
func (n *Node) End() int {
	n.T.Helper()
	select {
	case <-n.ended:
	case <-time.After(EndLimit):
		n.Signal(syscall.SIGQUIT)
		<-n.ended
		n.T.Fatalf("the node does not end:\n%s", n.Log)
	}
	if strings.Contains(n.Log.String(), "DATA RACE") {
		n.T.Errorf("the node has a data race:\n%s", n.Log)
	}
	return n.cmd.ProcessState.ExitCode()
}

// Stop ends the node as an operator does. Nothing of it may remain.
func (n *Node) Stop() {
	n.T.Helper()
	n.Signal(syscall.SIGTERM)
	if code := n.End(); code != 0 {
		n.T.Errorf("the node ended with exit code %d, want 0", code)
	}
	n.Gone()
}

// Kill ends the node as a crash does.
func (n *Node) Kill() {
	n.T.Helper()
	n.Signal(syscall.SIGKILL)
	n.End()
}

// Gone fails the test if the node left something on the machine.
func (n *Node) Gone() {
	n.T.Helper()
	if traces := n.Traces(); len(traces) > 0 {
		n.T.Errorf("the node left behind: %s", strings.Join(traces, ", "))
	}
}

// Refuse starts a node that must not come up, and returns its exit code and
// what it said.
func (n *Node) Refuse() (code int, said string) {
	n.T.Helper()
	n.Launch()
	code = n.End()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(n.Log.String()), "\n"), func(l string) bool {
		return strings.HasPrefix(l, "time=")
	})
	return code, strings.Join(lines, "\n")
}
