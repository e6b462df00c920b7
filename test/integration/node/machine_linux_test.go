package node_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/test/nodetest"
)

// wantRefusal starts a node that must not come up. Each of words must be in what
// it says, on one line.
func (n *node) wantRefusal(words ...string) {
	n.T.Helper()
	code, said := n.Refuse()
	if code != 2 || strings.Contains(said, "\n") {
		n.T.Errorf("exit code %d and %q, want 2 and one line", code, said)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			n.T.Errorf("the node says %q, want it to say %q", said, w)
		}
	}
}

func TestDataDirectoryHasOneNode(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	n.deploy(t, "python", "python", wire.Settings{})
	home := string(n.Call(t, "python", `{"do":"sleep","ms":0}`).Payload)
	second := newNode(t)
	second.Dir = n.Dir
	second.wantRefusal("DataDirInUse", "another node is running on "+n.Dir, "stop it, or choose another")
	// The first has lost nothing.
	n.Want(t, "python", `{"do":"sleep","ms":0}`, home)
}

func TestTakenPorts(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, plane := range []string{"control", "gateway"} {
		n := newNode(t, "--"+plane, l.Addr().String())
		n.wantRefusal("AddressInUse", "the address "+l.Addr().String()+" is taken", "choose another with --"+plane)
		if entries, err := os.ReadDir(n.Dir); err != nil || len(entries) > 0 {
			t.Errorf("a node that did not start made %v in its data directory, %v", entries, err)
		}
	}
}

func TestUnwritableDataDirectory(t *testing.T) {
	t.Parallel()
	const nobody = 65534
	n := newNode(t)
	n.Attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	n.wantRefusal("DataDir", "the data directory "+n.Dir+" can't be written", "run as its owner, or choose another with --data-dir")

	file := newNode(t)
	file.Dir = filepath.Join(file.Dir, "file")
	if err := os.WriteFile(file.Dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file.wantRefusal("DataDir", file.Dir)
}

// fill takes all the space of a node's disk until it is removed.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for len(chunk) > 0 {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Attr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	n.Env = []string{nodetest.DiskAt + "=" + n.Dir, nodetest.DiskSize + "=192m"}
	n.Start()
	t.Cleanup(func() {
		if n.Running() {
			n.Signal(syscall.SIGTERM)
			if code := n.End(); code != 0 {
				t.Errorf("the node ended with exit code %d, want 0", code)
			}
		}
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.Log)
		}
	})
	n.deploy(t, "python", "python", wire.Settings{})
	n.deploy(t, "node", "node", wire.Settings{})
	n.Want(t, "python", "1", "1")

	fill(t, n.Visible(filepath.Join(n.Dir, "filler")))
	full := func(err error) {
		t.Helper()
		nodetest.WantFault(t, err, fault.Unavailable, "DiskFull")
		if !strings.Contains(fault.From(err).Detail, "free some and try again") {
			t.Errorf("%v does not say what to do", err)
		}
	}
	_, err := n.Put(t.Context(), "more", release(t, 1), releases, client.PutOptions{})
	full(err)
	f, err := n.Function(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = n.PutFunction(t.Context(), "node", wire.FunctionSpec{Settings: f.Settings, Tags: map[string]string{"a": "b"}}, client.PutOptions{})
	full(err)
	full(n.PutConcurrency(t.Context(), "node", 5))
	n.Want(t, "python", "2", "2") // warm
	n.Want(t, "node", "2", "2")   // cold
	r := n.Call(t, "node", `{"do":"print","lines":["printed on a full disk"]}`)
	if !strings.Contains(string(r.LogTail), "printed on a full disk") {
		t.Errorf("the tail is %s", r.LogTail)
	}
	if err := n.DeleteFunction(t.Context(), "node"); err != nil && !fault.Is(err, fault.Unavailable, "DiskFull") {
		t.Errorf("delete: %v", err)
	}

	if err := os.Remove(n.Visible(filepath.Join(n.Dir, "filler"))); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Put(t.Context(), "more", release(t, 7), releases, client.PutOptions{}); err != nil {
		t.Errorf("after space was freed: %v", err)
	}
	n.Want(t, "more", "{}", "7")
	last := n.Want(t, "python", "3", "3")
	n.logOf(t, "python", last.RequestID) // records are kept again
}

// TestFullDiskAtStart has nowhere to put anything from the beginning.
func TestFullDiskAtStart(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	n.Attr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	n.Env = []string{nodetest.DiskAt + "=" + n.Dir, nodetest.DiskSize + "=8m"}
	n.wantRefusal("no space is left", "free some and try again")
}
