//go:build linux

package linux_test

import (
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// contained lists what a hostile function may try, and the answers of the kernel
// that are good.
var contained = map[string]string{
	"ptrace": "EPERM", "vm_read": "EPERM", "mount": "EPERM", "umount": "EPERM", "remount": "EPERM", "fsopen": "EPERM",
	"open_tree": "EPERM", "move_mount": "EPERM", "pivot_root": "EPERM", "chroot": "EPERM", "unshare": "EPERM",
	"unshare_ns": "EPERM", "clone_user": "EPERM", "clone_net": "EPERM", "clone3": "ENOSYS", "keyctl": "EPERM",
	"add_key": "EPERM", "bpf": "EPERM", "perf": "EPERM", "userfaultfd": "EPERM", "io_uring": "ENOSYS", "kexec": "EPERM",
	"module": "EPERM", "reboot": "EPERM", "swapon": "EPERM", "settime": "EPERM", "sethostname": "EPERM", "syslog": "EPERM",
	// Root does not exist in a user namespace without it: EINVAL.
	"open_by": "EPERM", "quotactl": "EPERM", "personality": "EPERM", "setuid": "EPERM EINVAL", "setgid": "EPERM EINVAL",
	"setgroups": "EPERM", "raw_socket": "EPERM", "packet": "EPERM", "vsock": "EPERM", "alg": "EPERM", "family0": "EPERM",
	"netfilter": "EPERM", "mknod": "EPERM", "mknod_block": "EPERM", "nofile": "EPERM", "nice": "EACCES",
	"setns /proc/1/ns/mnt": "EPERM", "setns /proc/self/ns/net": "EPERM",
	"read /etc/shadow": "ENOENT", "read /proc/1/environ": "done", "read /root": "ENOENT", "read /home": "ENOENT",
	"read /dev/mem": "ENOENT", "read /dev/kmsg": "ENOENT", "read /dev/vda": "ENOENT", "read /dev/kvm": "ENOENT",
	// Masked: /dev/null is there, if the kernel has such a file.
	"read /proc/kcore": "done ENOENT", "read /proc/kmsg": "done", "read /proc/keys": "done ENOENT",
	"read /sys/fs/cgroup/cgroup.procs": "ENOENT", "read /sys/fs/cgroup": "ENOENT", "read /sys/kernel": "ENOENT",
	"write /proc/sys/kernel/hostname": "EACCES EROFS", "write /proc/sys/kernel/core_pattern": "EACCES EROFS",
	"write /proc/sys/vm/drop_caches": "EACCES EROFS", "write /proc/sysrq-trigger": "done ENOENT",
	"create /x": "EROFS", "create /usr/bin/x": "EROFS", "create /etc/x": "EROFS", "create /var/task/x": "EROFS",
	"create /opt/x": "EROFS", "create /dev/x": "EROFS", "write /var/task/code": "EROFS", "write /usr/bin/env": "EACCES EROFS",
	"write /etc/passwd": "EACCES EROFS", "create /tmp/x": "done", "create /dev/shm/x": "done",
	"list": "done", "suid /usr/bin/su": "done", "escape": "done",
	"socketpair": "done", "route": "done", "fork": "done", // what ordinary programs need works
}

func TestHostileCallsAreRefused(t *testing.T) {
	d := newDriver(t)
	code := t.TempDir()
	if err := os.WriteFile(code+"/code", []byte("code"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{code, code + "/code"} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	want := maps.Clone(contained)
	// The host's processes and the node's own files can't even be named.
	want[fmt.Sprintf("kill %d", os.Getpid())] = "ESRCH"
	want[fmt.Sprintf("kill %d", os.Getppid())] = "ESRCH"
	want["read "+t.TempDir()] = "ENOENT"
	var names []string
	for name := range want {
		names = append(names, name)
	}
	slices.Sort(names)
	spec := sandboxtest.Spec("calls", sandboxtest.Binary(t), sandbox.Mount{Source: code, Target: "/var/task"})
	out, exit := sandboxtest.Output(t, d, spec, inside("attempts", names...))
	got := make(map[string]string)
	for line := range strings.Lines(out) {
		if i := strings.LastIndex(line, ": "); i > 0 {
			got[line[:i]] = strings.TrimSpace(line[i+2:])
		}
	}
	for _, name := range names {
		if !slices.Contains(strings.Fields(want[name]), got[name]) {
			t.Errorf("%s: got %q, want %s", name, got[name], want[name])
		}
	}
	if exit.Code != 0 || t.Failed() {
		t.Logf("%v\n%s", exit, out)
	}
	works(t, d)
}

func inside(action string, args ...string) sandbox.Command { return sandboxtest.Act(action, args...) }

// works checks that an ordinary sandbox runs, after a hostile one.
func works(t *testing.T, d sandbox.Driver) {
	t.Helper()
	if out, exit := sandboxtest.Output(t, d, sandboxtest.Spec("ordinary"), sandboxtest.Shell("echo fine")); out != "fine" || exit.Code != 0 {
		t.Errorf("an ordinary sandbox afterwards: %q, %v", out, exit)
	}
}

func TestForkBombStopsAtItsLimit(t *testing.T) {
	d := newDriver(t)
	out, exit := sandboxtest.Output(t, d, sandboxtest.Spec("forks", sandboxtest.Binary(t)), inside("threads"))
	if out != "stopped by EAGAIN, below 200: true" {
		t.Errorf("got %q, %v", out, exit)
	}
	bomb := sandboxtest.Create(t, d, sandboxtest.Spec("bomb"))
	r := sandboxtest.Start(t, bomb, sandboxtest.Shell("b() { b | b & b; }; b"))
	works(t, d) // while the bomb goes on
	sandboxtest.Destroy(t, bomb)
	<-r.Done()
	works(t, d)
}

func TestMemoryBombIsKilledAndRecognised(t *testing.T) {
	d := newDriver(t)
	spec := sandboxtest.Spec("eat", sandboxtest.Binary(t))
	spec.MemoryBytes = 96 << 20
	sb := sandboxtest.Create(t, d, spec)
	out, exit := sandboxtest.Start(t, sb, inside("eat")).Finish(t)
	if exit.Signal != "killed" {
		t.Errorf("ended with %v: %s", exit, out)
	}
	u, err := sb.Usage()
	if err != nil || u.OOMKills == 0 {
		t.Errorf("usage %+v, %v: want a kill for lack of memory", u, err)
	}
	if u.PeakMemoryBytes < spec.MemoryBytes/2 || u.PeakMemoryBytes > spec.MemoryBytes+1<<20 || // the kernel counts in batches
		u.CPU <= 0 {
		t.Errorf("usage %+v: want a peak near the limit and some processor time", u)
	}
	sandboxtest.Destroy(t, sb)
	works(t, d)
}

func TestDiskFillerStopsAtItsLimit(t *testing.T) {
	d := newDriver(t)
	spec := sandboxtest.Spec("fill")
	spec.TmpBytes = 8 << 20
	out, _ := sandboxtest.Output(t, d, spec, sandboxtest.Shell("head -c 64M /dev/zero > /tmp/big; stat -c %s /tmp/big"))
	if !strings.Contains(out, "No space left on device") || !strings.HasSuffix(out, "8388608") {
		t.Errorf("got %q, want the device full after 8 MiB", out)
	}
	// A /tmp larger than the memory counts as memory.
	spec = sandboxtest.Spec("spill")
	spec.MemoryBytes, spec.TmpBytes = 32<<20, 512<<20
	if _, exit := sandboxtest.Output(t, d, spec, sandboxtest.Shell("exec head -c 256M /dev/zero > /tmp/big")); exit.Signal != "killed" {
		t.Errorf("ended with %v, want killed", exit)
	}
	works(t, d)
}

func TestOpenFilesStopAtTheirLimit(t *testing.T) {
	d := newDriver(t)
	out, exit := sandboxtest.Output(t, d, sandboxtest.Spec("files", sandboxtest.Binary(t)), inside("files"))
	if out != "EMFILE near 1024: true" {
		t.Errorf("got %q, %v", out, exit)
	}
	works(t, d)
}

func TestNothingIsLeftForTheNextSandbox(t *testing.T) {
	d := newDriver(t)
	for range 2 {
		if out, exit := sandboxtest.Output(t, d, sandboxtest.Spec("shm", sandboxtest.Binary(t)), inside("shm")); exit.Code != 0 {
			t.Errorf("got %q, %v", out, exit)
		}
	}
}

func TestHostAndNeighbourCannotBeReached(t *testing.T) {
	d := newDriver(t)
	host, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	neighbour := sandboxtest.Create(t, d, sandboxtest.Spec("neighbour"))
	l, err := neighbour.Listen(t.Context(), "127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	// Loopback addresses alone: nothing that could leave the machine is tried.
	out, _ := sandboxtest.Output(t, d, sandboxtest.Spec("reach", sandboxtest.Binary(t)),
		inside("connect", host.Addr().String(), l.Addr().String(), "127.0.0.1:9000"))
	if n := strings.Count(out, "ECONNREFUSED"); n != 3 {
		t.Errorf("got %q, want three refusals", out)
	}
}

func TestSandboxesHaveUserIDsOfTheirOwn(t *testing.T) {
	d := newDriver(t)
	seen := make(map[string]bool)
	for i := range 3 {
		sb := sandboxtest.Create(t, d, sandboxtest.Spec(fmt.Sprintf("uid-%d", i)))
		out, _ := sandboxtest.Start(t, sb, sandboxtest.Shell("id -u; id -G; id -un; cat /proc/self/uid_map")).Finish(t)
		if uid, _, _ := strings.Cut(out, "\n"); seen[uid] || uid == "0" || !strings.Contains(out, "sbx_user") {
			t.Errorf("got %q, want another user than the others", out)
		} else {
			seen[uid] = true
		}
	}
}
