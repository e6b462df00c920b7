//go:build linux

package linux_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/ptrace"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// rights are what the kernel tells of a process's rights and limits.
const rights = `'\n'.join(line for line in (open('/proc/self/status').read() + open('/proc/self/limits').read()).split('\n')
 if line.startswith(('Cap', 'NoNewPrivs', 'Seccomp', 'Uid', 'Gid', 'Groups', 'Umask', 'Max ')))
 + open('/proc/self/oom_score_adj').read() + open('/proc/self/ns/time').read(0) + str(os.getpid()) + str(os.getsid(0))`

func TestCopyHasTheRightsOfAWholeStart(t *testing.T) {
	d := newDriver(t)
	expression := strings.ReplaceAll(rights, "\n", "")
	expression = strings.ReplaceAll(expression, "open('/proc/self/ns/time').read(0) + ", "")
	o := newOrigin(t, d, "")
	got := o.fork().ask(expression)
	whole := sandbox.Command{Path: "/usr/bin/python3", Args: []string{"python3", "-c", "import os; os.setsid; print(" + expression + ")"}}
	want, exit := sandboxtest.Output(t, d, sandboxtest.Spec("whole"), whole)
	uid := func(text string) string { // each has its own
		return regexp.MustCompile(`\t3\d{6}`).ReplaceAllString(text, "\tUID")
	}
	if exit.Code != 0 || uid(got) != uid(want) {
		t.Errorf("a copy has\n%s\na whole start, which ended with %v, has\n%s", got, exit, want)
	}
	if !strings.Contains(got, "CapBnd:\t0000000000000000") {
		t.Errorf("got %s", got)
	}
}

// refused are calls that would show a copy what it must not see.
var refused = map[string]string{
	"umount2":  "umount2(b'/tmp', 2)",
	"mount":    "mount(b'none', b'/tmp', b'tmpfs', 0, None)",
	"unshare":  "unshare(0x10000000)",
	"setns":    "setns(os.open('/proc/self/ns/mnt', os.O_RDONLY), 0)",
	"chroot":   "chroot(b'/tmp')",
	"ptrace":   "ptrace(16, 1, 0, 0)",
	"setuid":   "setresuid(0, 0, 0)",
	"setgid":   "setresgid(0, 0, 0)",
	"hostname": "sethostname(b'x', 1)",
	"reboot":   "reboot(0)",
	"swapoff":  "swapoff(b'/x')",
	"mknod":    "mknod(b'/tmp/m', 0o20666, 0x101)",
}

func TestHostileCallsOfACopyAreRefused(t *testing.T) {
	c := newOrigin(t, newDriver(t), "import ctypes; libc = ctypes.CDLL(None, use_errno=True)").fork()
	for _, name := range slices.Sorted(maps.Keys(refused)) {
		got := c.ask("[libc." + refused[name] + ", ctypes.get_errno()]")
		noUser := strings.HasPrefix(name, "set") && got == "[-1, 22]" // EINVAL: root does not exist
		if got != "[-1, 1]" && !noUser {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for _, path := range []string{"/x", "/usr/x", "/etc/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger"} {
		if got := c.ask("open('" + path + "', 'w').write('0')"); !strings.Contains(got, "Error") && path != "/proc/sysrq-trigger" {
			t.Errorf("wrote to %s: %s", path, got)
		}
	}
}

func TestCopiesShareNothingThatCanBeWritten(t *testing.T) {
	o := newOrigin(t, newDriver(t), "seen = []")
	a, b := o.fork(), o.fork()
	for _, tt := range []struct{ name, in, see, want string }{
		{"memory", "seen.append(1)", "seen", "[]"},
		{"/tmp", "open('/tmp/x', 'w').write('x')", "os.listdir('/tmp')", "[]"},
		{"/dev/shm", "open('/dev/shm/x', 'w').write('x')", "os.listdir('/dev/shm')", "[]"},
		{"processes", "os.getpid()", "sorted(p for p in os.listdir('/proc') if p.isdigit())", "['1']"},
		{"ports", "socket.create_server(('127.0.0.1', 8080)).detach()", "socket.create_server(('127.0.0.1', 8080)).getsockname()[1]", "8080"},
		{"host name", "os.uname().nodename", "os.uname().nodename", "copy-2"},
		{"signals", "[__import__('signal').signal(15, print), os.kill(0, 15)]", "1", "1"},
	} {
		a.ask(tt.in)
		if got := b.ask(tt.see); got != tt.want {
			t.Errorf("%s: the other copy sees %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := o.fork().ask("[seen, os.listdir('/tmp')]"); got != "[[], []]" {
		t.Errorf("a later copy sees %s", got)
	}
}

func TestCopyUsesItsOwnTmp(t *testing.T) {
	o := newOrigin(t, newDriver(t), "")
	o.spec.TmpBytes = 4 << 20
	got := o.fork().ask("[os.statvfs('/tmp').f_blocks * os.statvfs('/tmp').f_frsize >> 20, os.stat('/tmp').st_mode & 0o7777, os.getuid() == os.stat('/proc/self').st_uid]")
	if got != "[4, 1023, True]" {
		t.Errorf("got %s", got)
	}
}

func TestEndOfACopyIsReported(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(*replica)
		want sandbox.Exit
	}{
		"exit":     {func(r *replica) { r.say("os._exit(7)") }, sandbox.Exit{Code: 7}},
		"no error": {func(r *replica) { r.say("os._exit(0)") }, sandbox.Exit{}},
		"kill":     {func(r *replica) { _ = r.process.Signal(syscall.SIGKILL) }, sandbox.Exit{Code: -1, Signal: "killed"}},
		"abort": {func(r *replica) {
			r.say("[__import__('signal').signal(6, lambda *_: os._exit(9)), os.kill(1, 6)]")
		}, sandbox.Exit{Code: 9}},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOrigin(t, newDriver(t), "")
			c, other := o.fork(), o.fork()
			tt.do(c)
			if got := c.ends(); got != tt.want {
				t.Errorf("ended with %v, want %v", got, tt.want)
			}
			if got := other.ask("1 + 1"); got != "2" {
				t.Errorf("the other copy answers %s", got)
			}
			sandboxtest.Destroy(t, c.sandbox)
			if err := c.process.Signal(syscall.SIGTERM); err != nil {
				t.Errorf("signal after the end: %v", err)
			}
		})
	}
}

func TestOutOfMemoryOfACopyLeavesTheOthers(t *testing.T) {
	o := newOrigin(t, newDriver(t), "")
	other := o.fork()
	o.spec.MemoryBytes = 48 << 20
	c := o.fork()
	c.say("[b'x' * (1 << 20) + bytes([i % 256]) for i in range(1000)]")
	if got := c.ends(); got.Signal != "killed" {
		t.Errorf("ended with %v", got)
	}
	if u, err := c.sandbox.Usage(); err != nil || u.OOMKills == 0 || u.PeakMemoryBytes < 24<<20 || u.CPU == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if u, err := other.sandbox.Usage(); err != nil || u.OOMKills != 0 || u.PIDs != 1 || u.MemoryBytes > 16<<20 {
		t.Errorf("usage of the other %+v, %v", u, err)
	}
	if got := other.ask("1 + 1"); got != "2" {
		t.Errorf("the other copy answers %s", got)
	}
	if got := o.fork().ask("2 + 2"); got != "4" {
		t.Errorf("a copy made afterwards answers %s", got)
	}
}

func TestProcessesOfACopyAreItsOwn(t *testing.T) {
	o := newOrigin(t, newDriver(t), "")
	o.spec.PIDs = 8
	c := o.fork()
	got := c.ask("[__import__('subprocess').Popen(['sleep', '1000']) for _ in range(20)]")
	if !strings.Contains(got, "BlockingIOError") {
		t.Errorf("20 processes with a limit of 8: %s", got)
	}
	if u, err := c.sandbox.Usage(); err != nil || u.PIDs < 4 {
		t.Errorf("usage %+v, %v", u, err)
	}
	pid := c.process.PID()
	sandboxtest.Destroy(t, c.sandbox)
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
		t.Error("the copy is there after Destroy")
	}
	if got := o.fork().ask("1"); got != "1" {
		t.Errorf("the next copy answers %s", got)
	}
}

func TestCopiesEndWithTheirOrigin(t *testing.T) {
	o := newOrigin(t, newDriver(t), "")
	c := o.fork()
	sandboxtest.Destroy(t, o.sandbox)
	if got := c.ends(); got.Signal != "killed" {
		t.Errorf("ended with %v", got)
	}
	if _, err := o.try(); err == nil {
		t.Error("a destroyed sandbox was forked")
	}
}

func TestUserIDIsFreeWhenTheLastCopyHasEnded(t *testing.T) {
	d, err := linux.New(linux.Config{StateDir: t.TempDir(), NodeID: "test", UIDs: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	o := newOrigin(t, d, "")
	c := o.fork()
	sandboxtest.Destroy(t, o.sandbox)
	second := sandboxtest.Create(t, d, sandboxtest.Spec("second"))
	if _, err := d.Create(t.Context(), sandboxtest.Spec("third")); !fault.Is(err, fault.Throttled, "") {
		t.Errorf("a third user id of two: %v", err)
	}
	sandboxtest.Destroy(t, c.sandbox)
	sandboxtest.Create(t, d, sandboxtest.Spec("third"))
	sandboxtest.Destroy(t, second)
}

func TestWhatCopiesWouldShareIsDetected(t *testing.T) {
	for name, tt := range map[string]struct{ prelude, want string }{
		"nothing":        {"import random, ssl, urllib.request; data = open('/etc/passwd').read()", ""},
		"random device":  {"r = open('/dev/urandom', 'rb')", ""},
		"thread":         {"import threading, time; threading.Thread(target=time.sleep, args=(1000,)).start()", "2 threads"},
		"socket":         {"s = socket.socket()", "open socket"},
		"pair":           {"s = socket.socketpair()", "open socket"},
		"pipe":           {"p = os.pipe()", "open pipe"},
		"epoll":          {"import select; e = select.epoll()", "anon_inode"},
		"eventfd":        {"e = os.eventfd(0)", "anon_inode"},
		"file":           {"f = open('/etc/passwd')", "open /etc/passwd"},
		"directory":      {"d = os.open('/', os.O_RDONLY)", "open /"},
		"own descriptor": {"d = os.dup(3)", "open socket"},
		"shared memory":  {"import mmap; m = mmap.mmap(-1, 4096)", "shares memory"},
		"process":        {"import subprocess; p = subprocess.Popen(['sleep', '1000'])", "left 1 processes"},
		"file in /tmp":   {"open('/tmp/x', 'w').close()", "files in /tmp"},
		"file in memory": {"open('/dev/shm/x', 'w').close()", "files in /dev/shm"},
		"in /tmp":        {"os.chdir('/tmp')", "working directory"},
		"timer":          {"import signal; signal.signal(signal.SIGALRM, print); signal.setitimer(signal.ITIMER_REAL, 1000)", "SIGALRM"},
		"children":       {"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)", "SIGCHLD"},
	} {
		t.Run(name, func(t *testing.T) {
			err := newOrigin(t, newDriver(t), tt.prelude).forker().Forkable()
			if tt.want == "" && err != nil {
				t.Errorf("got %v", err)
			}
			if tt.want != "" && (!fault.Is(err, fault.Unsupported, "") || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSandboxWithoutAChildIsNotForked(t *testing.T) {
	d := newDriver(t)
	sb := sandboxtest.Create(t, d, sandboxtest.Spec("plain"))
	never := sandbox.Forking{Ask: func() error { t.Error("asked"); return nil }, Reap: func() { t.Error("reaped") }}
	spec := sandboxtest.Spec("copy")
	if _, _, err := sb.(sandbox.Forker).Fork(t.Context(), spec, never); err == nil {
		t.Error("forked before its start")
	}
	sandboxtest.Start(t, sb, sandboxtest.Shell("read x"))
	if _, _, err := sb.(sandbox.Forker).Fork(t.Context(), spec, never); !fault.Is(err, fault.Unsupported, "") {
		t.Errorf("forked without a child: %v", err)
	}
}

func TestFailedForkLeavesTheOriginAsItWas(t *testing.T) {
	d := newDriver(t)
	few := sandboxtest.Spec("origin")
	few.PIDs = 2
	o := newOriginIn(t, d, few, "")
	if _, err := o.try(); !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("a fork that the kernel refuses: %v", err)
	}
	if err := o.process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	sandboxtest.Destroy(t, o.sandbox)
	o = newOrigin(t, d, "os.register_at_fork(before=lambda: os.kill(os.getpid(), 9))")
	if _, err := o.try(); !errors.Is(err, ptrace.ErrEnded) {
		t.Errorf("a fork that ends the process: %v", err)
	}
	<-o.process.Done()
}

func TestStormOfForksLeavesNothing(t *testing.T) {
	d := newDriver(t)
	groups := func() int {
		found, err := filepath.Glob("/sys/fs/cgroup/*/mayfly-test/*")
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	settle := func() {
		if err := d.(*linux.Driver).AwaitStock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	o := newOrigin(t, d, "")
	settle()
	before := groups()
	var replicas []*replica
	for range 50 {
		replicas = append(replicas, o.fork())
	}
	for i, r := range replicas {
		if got := r.ask("6 * 7"); got != "42" {
			t.Errorf("copy %d answers %s", i, got)
		}
	}
	for _, r := range replicas {
		sandboxtest.Destroy(t, r.sandbox)
	}
	settle()
	if after := groups(); after != before {
		t.Errorf("%d cgroups, %d before", after, before)
	}
	if u, err := o.sandbox.Usage(); err != nil || u.PIDs != 2 {
		t.Errorf("usage of the origin %+v, %v: want two processes, none dead", u, err)
	}
	if err := o.forker().Forkable(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestCopyIsFrozenAlone(t *testing.T) {
	o := newOrigin(t, newDriver(t), "")
	a, b := o.fork(), o.fork()
	freezer := a.sandbox.(sandbox.Freezer)
	if err := freezer.Freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := b.ask("1 + 1"); got != "2" {
		t.Errorf("the other copy answers %s", got)
	}
	if got := o.fork().ask("2 + 2"); got != "4" {
		t.Errorf("a copy made meanwhile answers %s", got)
	}
	if err := freezer.Thaw(); err != nil {
		t.Fatal(err)
	}
	if got := a.ask("3 + 3"); got != "6" {
		t.Errorf("the copy that was frozen answers %s", got)
	}
}
