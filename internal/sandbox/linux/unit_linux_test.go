package linux

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/procstat"
)

// The assembly has these numbers as constants.
func TestOpLayout(t *testing.T) {
	var o op
	got := []uintptr{
		unsafe.Offsetof(o.nr), unsafe.Offsetof(o.args), unsafe.Offsetof(o.load), unsafe.Offsetof(o.save),
		unsafe.Offsetof(o.mode), unsafe.Sizeof(o), cloneArgsSize, must, may, fork,
	}
	if diff := cmp.Diff([]uintptr{0, 8, 56, 64, 72, 80, 88, 0, 1, 2}, got); diff != "" {
		t.Error(diff)
	}
}

func TestScriptTellsWhatFailed(t *testing.T) {
	s := newScript()
	s.try("make directory", "/proc/x", unix.SYS_MKDIRAT, atFDCWD, s.refs.cstring("/proc/x"), 0o700)
	fd := s.open("/no/such/file", unix.O_RDONLY, 0)
	s.closeSlot("/no/such/file", fd)
	err := s.finish(process{})
	var failed *scriptError
	if !errors.As(err, &failed) || failed.last || !errors.Is(err, unix.ENOENT) || !strings.Contains(err.Error(), "open /no/such/file") {
		t.Errorf("got %v, want the open and ENOENT", err)
	}
}

func TestScriptUsesEarlierResults(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	s := newScript()
	s.writeFile(name, "content", 0o600)
	if err := s.finish(process{}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(name); string(b) != "content" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestQuota(t *testing.T) {
	for milliCPU, want := range map[int][2]int64{
		2000: {40_000, 20_000}, 1000: {20_000, 20_000}, 72: {1440, 20_000}, 50: {1000, 20_000}, 10: {1000, 100_000}, 1: {1000, 1_000_000},
	} {
		q, period := quota(milliCPU)
		if got := [2]int64{q, period}; got != want {
			t.Errorf("quota(%d) = %v, want %v", milliCPU, got, want)
		}
	}
}

func TestParseCgroupMounts(t *testing.T) {
	const mountinfo = `30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:5 - cgroup2 cgroup2 rw,nsdelegate
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
a line that is cut of
35 30 0:31 / /x - cgroup
`
	got := parseCgroupMounts([]byte(mountinfo))
	want := map[string]string{
		"": "/sys/fs/cgroup/unified", "rw": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu,cpuacct",
		"cpuacct": "/sys/fs/cgroup/cpu,cpuacct", "memory": "/sys/fs/cgroup/memory",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseCgroupMounts(f *testing.F) {
	f.Add([]byte("31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"))
	f.Add([]byte(" - cgroup x y,z"))
	f.Fuzz(func(_ *testing.T, b []byte) { parseCgroupMounts(b) })
}

// A machine with version 2 has these files in every group.
var v2Files = []string{
	"cgroup.subtree_control", "cgroup.procs", "cgroup.kill", "memory.max", "memory.swap.max", "memory.oom.group",
	"cpu.max", "cpu.max.burst", "cpu.weight", "pids.max", "cgroup.freeze", "memory.reclaim",
}

func fakeGroup(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range v2Files {
		files[name] += ""
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCgroup2Files(t *testing.T) {
	root := t.TempDir()
	fakeGroup(t, root, map[string]string{})
	fakeGroup(t, filepath.Join(root, "mayfly-n"), map[string]string{})
	c, err := newV2(root, "n")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, c.parent} {
		if b, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")); string(b) != v2Controllers {
			t.Errorf("%s hands on %q", dir, b)
		}
	}
	g := &cgroup2{dir: filepath.Join(c.parent, "1")}
	fakeGroup(t, g.dir, map[string]string{
		"cpu.stat": "usage_usec 1500\nuser_usec 1000\n", "memory.current": "4096\n", "memory.peak": "8192\n",
		"memory.events": "low 0\noom 3\noom_kill 2\n", "pids.current": "12\n",
	})
	if err := g.limit(limits{}, limits{memoryBytes: 1 << 20, milliCPU: 500, pids: 10}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"memory.max": "1048576", "memory.swap.max": "0", "memory.oom.group": "1", "cpu.max": "10000 20000",
		"cpu.max.burst": "10000", "cpu.weight": "50", "pids.max": "10",
	}
	for name, v := range want {
		if b, _ := os.ReadFile(filepath.Join(g.dir, name)); string(b) != v {
			t.Errorf("%s holds %q, want %q", name, b, v)
		}
	}
	u, err := g.usage()
	if diff := cmp.Diff(sandbox.Usage{CPU: 1500 * time.Microsecond, MemoryBytes: 4096, PeakMemoryBytes: 8192, OOMKills: 2, PIDs: 12}, u); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	// The files stay open; what they hold is read anew, with more or less digits.
	for _, bytes := range []int64{1 << 40, 7} {
		if err := os.WriteFile(filepath.Join(g.dir, "memory.current"), []byte(strconv.FormatInt(bytes, 10)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if u, err := g.usage(); err != nil || u.MemoryBytes != bytes {
			t.Errorf("memory: %d, %v, want %d", u.MemoryBytes, err, bytes)
		}
	}
	g.meter.close()
	if u, err := g.usage(); err != nil || u.PeakMemoryBytes != 8192 {
		t.Errorf("after the files were closed: %+v, %v", u, err)
	}
	g.meter.close()
}

func TestCgroup2Freezes(t *testing.T) {
	root := t.TempDir()
	fakeGroup(t, root, map[string]string{})
	fakeGroup(t, filepath.Join(root, "mayfly-n"), map[string]string{})
	c, err := newV2(root, "n")
	if err != nil {
		t.Fatal(err)
	}
	if gaps := c.gaps(); len(gaps) > 0 {
		t.Errorf("gaps %v, want none", gaps)
	}
	made, err := c.create()
	if err != nil {
		t.Fatal(err)
	}
	g, ok := made.(*cgroup2)
	if !ok {
		t.Fatalf("made %T", made)
	}
	fakeGroup(t, g.dir, map[string]string{
		"cgroup.events": "populated 1\nfrozen 0\n", "memory.stat": "anon 5\nfile 1048500\n", "memory.reclaim": "",
	})
	content := func(name string) string {
		b, err := os.ReadFile(filepath.Join(g.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	f := g.freezer()
	if err := f.freeze(); err != nil || content("cgroup.freeze") != "1" {
		t.Errorf("freeze: %v, wrote %q", err, content("cgroup.freeze"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := f.await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await while something runs: %v", err)
	}
	if content("cgroup.freeze") != "0" {
		t.Error("it is left half frozen")
	}
	if err := f.freeze(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, "cgroup.events"), []byte("populated 1\nfrozen 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.await(t.Context()); err != nil {
		t.Errorf("await when all stand still: %v", err)
	}
	if err := g.reclaim(); err != nil || !strings.HasPrefix(content("memory.reclaim"), "10485") {
		t.Errorf("reclaim: %v, wrote %q", err, content("memory.reclaim"))
	}
	if err := f.thaw(); err != nil || content("cgroup.freeze") != "0" {
		t.Errorf("thaw: %v, wrote %q", err, content("cgroup.freeze"))
	}
	if err := errors.Join(f.close(), f.close()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := f.freeze(); !fault.Is(err, fault.Conflict, "SandboxDestroyed") {
		t.Errorf("freeze when closed: %v", err)
	}
}

func TestFreezerThatIsMissingIsAGap(t *testing.T) {
	c := newV1(map[string]string{"memory": "/m", "cpu": "/c", "cpuacct": "/c", "pids": "/p"}, "n")
	if gaps := c.gaps(); len(gaps) != 1 || !strings.Contains(gaps[0].What, "frozen") {
		t.Errorf("gaps %v, want the freezer's", gaps)
	}
	old := &cgroups2{}
	if gaps := old.gaps(); len(gaps) != 1 || !strings.Contains(gaps[0].What, "frozen") {
		t.Errorf("gaps %v, want the freezer's", gaps)
	}
}

// A process starts in a group of version 2, if there is one, even if that has no
// controllers.
func TestCgroup2Join(t *testing.T) {
	mounts, err := cgroupMounts()
	if err != nil {
		t.Fatal(err)
	}
	root := mounts[""]
	if root == "" || os.Geteuid() != 0 {
		return // version 1 alone: TestSuite joins those
	}
	g := &cgroup2{dir: filepath.Join(root, "mayfly-join-test")}
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s, how := newScript(), process{}
	release, err := g.join(s, &how)
	if err != nil {
		t.Fatal(err)
	}
	s.do("execute", unix.SYS_EXECVE, s.refs.cstring("/bin/sleep"), s.refs.cstringArray([]string{"sleep", "1000"}), 0)
	pid, err := s.start(how)
	release()
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs")); strings.TrimSpace(string(b)) != strconv.Itoa(pid) {
		t.Errorf("the group holds %q, want %d", b, pid)
	}
	p, err := newProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.remove(t.Context()); err != nil {
		t.Error(err)
	}
	<-p.Done()
	if got := p.Exit().Signal; got != "killed" {
		t.Errorf("ended by %q", got)
	}
}

func TestFilterVerdicts(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := filter()
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) > 1024 {
		t.Errorf("the filter has %d instructions: starts get slow", len(raw))
	}
	prog := make([]bpf.RawInstruction, len(raw))
	for i, r := range raw {
		prog[i] = bpf.RawInstruction{Op: r.Code, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	vm := machine(t, prog)
	const ok, denied, absent = unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_ERRNO | int(unix.EPERM), unix.SECCOMP_RET_ERRNO | int(unix.ENOSYS)
	number := func(name string) uint32 { return uint32(info.SyscallNames[name]) }
	for name, c := range map[string]struct {
		arch, nr uint32
		args     [3]uint64
		want     int
	}{
		"read":             {uint32(info.ID), number("read"), [3]uint64{}, ok},
		"execve":           {uint32(info.ID), number("execve"), [3]uint64{}, ok},
		"mount":            {uint32(info.ID), number("mount"), [3]uint64{}, denied},
		"ptrace":           {uint32(info.ID), number("ptrace"), [3]uint64{}, denied},
		"clone3":           {uint32(info.ID), number("clone3"), [3]uint64{}, absent},
		"thread":           {uint32(info.ID), number("clone"), [3]uint64{unix.CLONE_VM | unix.CLONE_THREAD}, ok},
		"new namespace":    {uint32(info.ID), number("clone"), [3]uint64{unix.CLONE_NEWUSER}, denied},
		"inet":             {uint32(info.ID), number("socket"), [3]uint64{unix.AF_INET}, ok},
		"inet, high bits":  {uint32(info.ID), number("socket"), [3]uint64{1<<32 | unix.AF_VSOCK}, denied},
		"route":            {uint32(info.ID), number("socket"), [3]uint64{unix.AF_NETLINK, 0, unix.NETLINK_ROUTE}, ok},
		"audit":            {uint32(info.ID), number("socket"), [3]uint64{unix.AF_NETLINK, 0, unix.NETLINK_AUDIT}, denied},
		"personality":      {uint32(info.ID), number("personality"), [3]uint64{0xffffffff}, ok},
		"read implies":     {uint32(info.ID), number("personality"), [3]uint64{0x0400000}, denied},
		"of the future":    {uint32(info.ID), 4000, [3]uint64{}, absent},
		"the x32 read":     {uint32(info.ID), 0x40000000, [3]uint64{}, absent},
		"another's number": {0x1234, number("read"), [3]uint64{}, absent},
	} {
		if got := vm(c.arch, c.nr, c.args); got != c.want {
			t.Errorf("%s: %#x, want %#x", name, got, c.want)
		}
	}
}

// machine runs the program on calls. The virtual machine loads big-endian
// numbers where the kernel's filters load native ones.
func machine(t *testing.T, prog []bpf.RawInstruction) func(machine, nr uint32, args [3]uint64) int {
	t.Helper()
	instructions, all := bpf.Disassemble(prog)
	if !all {
		t.Fatal("the filter has instructions that can't be decoded")
	}
	vm, err := bpf.NewVM(instructions)
	if err != nil {
		t.Fatal(err)
	}
	return func(machine, nr uint32, args [3]uint64) int {
		data := make([]byte, 64)
		binary.BigEndian.PutUint32(data[dataNr:], nr)
		binary.BigEndian.PutUint32(data[dataArch:], machine)
		for i, a := range args {
			binary.BigEndian.PutUint32(data[dataArgs+8*i:], uint32(a))
			binary.BigEndian.PutUint32(data[dataArgs+8*i+4:], uint32(a>>32))
		}
		verdict, err := vm.Run(data)
		if err != nil {
			t.Fatal(err)
		}
		return verdict
	}
}

func TestStockIsRefilledAndDropped(t *testing.T) {
	var made, dropped atomic.Int64
	s := newStock(2, func() (int64, error) { return made.Add(1), nil },
		func(int64) error { dropped.Add(1); return nil }, slog.New(slog.DiscardHandler))
	seen := make(map[int64]bool)
	for range 10 {
		v, err := s.take()
		if err != nil || seen[v] {
			t.Errorf("got %d, %v: want one that nobody else has", v, err)
		}
		seen[v] = true
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
	if got := made.Load() - dropped.Load(); got != 10 {
		t.Errorf("%d things are neither taken nor dropped", got-10)
	}
}

func TestStockTellsWhyThereIsNothing(t *testing.T) {
	failure := errors.New("no more")
	s := newStock(2, func() (int, error) { return 0, failure }, func(int) error { return nil }, slog.New(slog.DiscardHandler))
	if _, err := s.take(); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

func TestUserIDsAreReusedLate(t *testing.T) {
	u := newUIDs(700_000, 2)
	first, _ := u.take()
	u.give(first)
	if second, _ := u.take(); second == first {
		t.Errorf("%d was given out again at once", first)
	}
	if third, err := u.take(); third != first || err != nil {
		t.Errorf("got %d, %v", third, err)
	}
	if _, err := u.take(); err == nil {
		t.Error("a third id was given out of two")
	}
}

func TestSweepKillsOnlyWhatWasNoted(t *testing.T) {
	s := newScript()
	s.do("execute", unix.SYS_EXECVE, s.refs.cstring("/bin/sleep"), s.refs.cstringArray([]string{"sleep", "1000"}), 0)
	pid, err := s.start(process{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	l := leftovers{dir: t.TempDir()}
	start, err := procstat.StartTicks(pid)
	if err != nil {
		t.Fatal(err)
	}
	note := func(content string) {
		if err := os.WriteFile(filepath.Join(l.dir, "note"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := l.sweep(); err != nil {
			t.Fatal(err)
		}
	}
	note(strconv.Itoa(pid) + " 1") // the id is another's by now
	note("")
	note("-1 x")
	select {
	case <-p.Done():
		t.Fatal("killed a process that was not the one noted")
	default:
	}
	note(strconv.Itoa(pid) + " " + start)
	<-p.Done()
	if left, _ := os.ReadDir(l.dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}
