package nodetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/nftables"
)

// Traces lists what there is of the node on the machine outside of its data
// directory.
func (n *Node) Traces() []string {
	n.T.Helper()
	sum := sha256.Sum256([]byte(n.id()))
	tag := hex.EncodeToString(sum[:4])
	var all []string
	for _, find := range []func() []string{
		n.cgroups, n.Processes,
		func() []string { return n.devices("mfy" + tag) },
		func() []string { return n.tables("mayfly_" + tag) },
		n.mounts, n.loops, n.temporary,
	} {
		all = append(all, find()...)
	}
	return all
}

func (n *Node) id() string {
	n.T.Helper()
	id, err := os.ReadFile(filepath.Join(n.Dir, "node-id"))
	if err != nil {
		n.T.Fatal(err)
	}
	return string(id)
}

// GroupName is the name of the cgroup that holds those of the node's sandboxes.
func (n *Node) GroupName() string { return "mayfly-" + n.id() }

// cgroups lists the groups of the node's sandboxes, on all hierarchies.
func (n *Node) cgroups() (found []string) {
	name := "/" + n.GroupName()
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // other cgroups come and go
		}
		if d.IsDir() && strings.Contains(path, name) {
			found = append(found, "cgroup "+path)
		}
		return nil
	})
	return found
}

// PIDs lists the processes that run under a user id of the node's sandboxes. One
// that has ended and that nobody has waited for yet runs no more.
func (n *Node) PIDs() (pids []int) {
	n.T.Helper()
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		n.T.Fatal(err)
	}
	for _, path := range statuses {
		status, err := os.ReadFile(path)
		if err != nil || bytes.Contains(status, []byte("\nState:\tZ")) {
			continue
		}
		_, after, _ := bytes.Cut(status, []byte("\nUid:\t"))
		number, _, _ := bytes.Cut(after, []byte("\t"))
		uid, err := strconv.Atoi(string(number))
		if err != nil || uid < n.firstUID || uid >= n.firstUID+usersOfNode {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			n.T.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

// Processes lists them in words.
func (n *Node) Processes() (found []string) {
	n.T.Helper()
	for _, pid := range n.PIDs() {
		if name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm")); err == nil {
			found = append(found, fmt.Sprintf("process %d (%s)", pid, bytes.TrimSpace(name)))
		}
	}
	return found
}

func (n *Node) devices(prefix string) (found []string) {
	devices, err := net.Interfaces()
	if err != nil {
		n.T.Fatal(err)
	}
	for _, d := range devices {
		if strings.HasPrefix(d.Name, prefix) {
			found = append(found, "device "+d.Name)
		}
	}
	return found
}

func (n *Node) tables(prefix string) (found []string) {
	conn, err := nftables.New()
	if err != nil {
		n.T.Fatal(err)
	}
	tables, err := conn.ListTables()
	if err != nil {
		n.T.Fatal(err)
	}
	for _, t := range tables {
		if strings.HasPrefix(t.Name, prefix) {
			found = append(found, "table "+t.Name)
		}
	}
	return found
}

func (n *Node) mounts() (found []string) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		n.T.Fatal(err)
	}
	for line := range strings.Lines(string(info)) {
		if strings.Contains(line, n.Dir) {
			found = append(found, "mount "+strings.TrimSpace(line))
		}
	}
	return found
}

// loops lists the loop devices whose images are the node's.
func (n *Node) loops() (found []string) {
	backing, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		n.T.Fatal(err)
	}
	for _, path := range backing {
		if image, err := os.ReadFile(path); err == nil && bytes.Contains(image, []byte(n.Dir)) {
			found = append(found, "loop device of "+strings.TrimSpace(string(image)))
		}
	}
	return found
}

func (n *Node) temporary() (found []string) {
	entries, err := os.ReadDir(n.tmp)
	if err != nil {
		n.T.Fatal(err)
	}
	for _, e := range entries {
		found = append(found, "temporary file "+e.Name())
	}
	return found
}
