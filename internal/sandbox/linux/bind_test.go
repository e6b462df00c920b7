//go:build linux

package linux_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// survey prints all that a process can see of its sandbox. A device of a network
// without a way out goes a moment after the binding, so it is waited for.
const survey = `
if [ "$1" = none ]; then while grep -q eth0 /proc/net/dev; do sleep 0.01; done; fi
echo "== uid"; id -u
echo "== mounts"; cut -d" " -f4- /proc/self/mountinfo | sort
echo "== files"; find / -xdev -printf "%p %M %u %g %l\n" | sort; ls -la /tmp /var/task /opt/layer /root/tools
echo "== tmp"; stat -f -c "%S %b %a" /tmp; echo content > /tmp/written && cat /tmp/written && rm /tmp/written; echo x > /dev/shm/x && rm /dev/shm/x
echo "== read-only"; touch /x /etc/x /var/task/x /opt/x /root/x 2>&1
echo "== status"; grep -E "^(Uid|Gid|Groups|NSpid|Cap|NoNewPrivs|Seccomp|Umask)" /proc/1/status; cat /proc/1/oom_score_adj
echo "== limits"; cat /proc/1/limits
echo "== descriptors"; ls -l /proc/1/fd > /dev/shm/fd; awk "{print \$1, \$9, \$11}" /dev/shm/fd
echo "== resolv.conf"; cat /etc/resolv.conf
echo "== network"; cut -d: -f1 /proc/net/dev; cut -f2-4 /proc/net/route
echo "== names"; hostname; cat /etc/passwd /etc/group /etc/hosts /etc/nsswitch.conf; cat /var/task/word /opt/layer/word /root/tools/word
`

// Between two sandboxes these differ: numbers of devices, of pipes, of the one
// user that each of them has, and addresses.
var differing = regexp.MustCompile(`/dev/loop\d+|pipe:\[\d+\]|\b\d+:\d+\b|\b[0-9A-F]{8}\t[0-9A-F]{8}\b`)

func normalised(out string) []string {
	_, rest, _ := strings.Cut(out, "== uid\n")
	uid, _, _ := strings.Cut(rest, "\n")
	out = strings.ReplaceAll(out, uid, "UID")
	return strings.Split(differing.ReplaceAllString(out, "#"), "\n")
}

// groupLimits returns what the cgroups of a process limit.
func groupLimits(t *testing.T, pid int) map[string]string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		_, group, _ := strings.Cut(strings.TrimSpace(line), ":/")
		if !strings.Contains(group, "mayfly-") {
			continue
		}
		for _, name := range []string{
			"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.cfs_burst_us",
			"cpu.shares", "pids.max", "memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.max.burst", "cpu.weight",
		} {
			files, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", group, name))
			for _, file := range files {
				if value, err := os.ReadFile(file); err == nil {
					found[name] = string(value)
				}
			}
		}
	}
	return found
}

func word(t *testing.T, content string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "word"), []byte(content+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestBoundIsAsWhole compares a sandbox that was bound while it ran with one
// that was made whole, in all that can be seen from inside.
func TestBoundIsAsWhole(t *testing.T) {
	withEgress(t, func(t *testing.T, network linux.Network) {
		t.Helper()
		store := newStore(t)
		mounts := []sandbox.Mount{
			{Source: word(t, "code"), Target: "/var/task"},
			{Source: word(t, "layer"), Target: "/opt/layer"},
			{Source: word(t, "tools"), Target: "/root/tools"},
		}
		for _, e := range []function.Egress{
			{Mode: function.EgressNone},
			{Mode: function.EgressInternet},
			{Mode: function.EgressAllow, Allow: []string{"203.0.113.0/24"}},
		} {
			for name, disks := range map[string]*scratch.Store{"memory": nil, "disk": store} {
				t.Run(string(e.Mode)+" "+name, func(t *testing.T) {
					d := driverOf(t, linux.Config{NodeID: "suite", Network: network, Scratch: disks})
					whole := sandboxtest.Spec("same", mounts...)
					whole.Egress, whole.MemoryBytes, whole.MilliCPU, whole.TmpBytes = e, 200<<20, 300, 48<<20
					unbound := sandboxtest.Unbound("same")
					binding := sandbox.Binding{MemoryBytes: 200 << 20, MilliCPU: 300, TmpBytes: 48 << 20, Mounts: mounts, Egress: e}
					want, wantLimits := observe(t, d, whole, nil)
					got, gotLimits := observe(t, d, unbound, &binding)
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("bound (+) is not as whole (-):\n%s", diff)
					}
					if diff := cmp.Diff(wantLimits, gotLimits); diff != "" || len(gotLimits) < 4 {
						t.Errorf("limits, bound (+) and whole (-):\n%s", diff)
					}
				})
			}
		}
	})
}

// observe returns what a sandbox of spec shows, after it was bound if there is a
// binding.
func observe(t *testing.T, d sandbox.Driver, spec sandbox.Spec, b *sandbox.Binding) ([]string, map[string]string) {
	t.Helper()
	sb := sandboxtest.Create(t, d, spec)
	r, proceed := sandboxtest.StartWaiting(t, sb, survey)
	mode := spec.Egress.Mode
	if b != nil {
		sandboxtest.Bind(t, sb, *b)
		mode = b.Egress.Mode
	}
	limits := groupLimits(t, r.PID())
	proceed(string(mode))
	out, exit := r.Finish(t)
	if exit.Code != 0 || !strings.Contains(out, "content") || !strings.Contains(out, "code\nlayer\ntools") {
		t.Errorf("ended with %v: %s", exit, out)
	}
	sandboxtest.Destroy(t, sb)
	return normalised(out), limits
}

// TestUnboundHoldsNothingOfAFunction looks into a sandbox before it is bound.
func TestUnboundHoldsNothingOfAFunction(t *testing.T) {
	withEgress(t, func(t *testing.T, network linux.Network) {
		t.Helper()
		d := driverOf(t, linux.Config{NodeID: "suite", Network: network, Scratch: newStore(t)})
		sb := sandboxtest.Create(t, d, sandboxtest.Unbound("stem"))
		out, exit := sandboxtest.Start(t, sb, sandboxtest.Shell(`
grep -E " /(tmp|var/task)|loop" /proc/self/mounts; ls -A /tmp /var/task /opt
touch /tmp/x 2>&1; touch /var/tmp/x 2>&1; mkdir /tmp/y 2>&1; echo end`)).Finish(t)
		want := "/opt:\nlib\n\n/tmp:\n\n/var/task:\nlib\n" +
			"touch: cannot touch '/tmp/x': Read-only file system\ntouch: cannot touch '/var/tmp/x': Read-only file system\n" +
			"mkdir: cannot create directory '/tmp/y': Read-only file system\nend"
		if diff := cmp.Diff(want, out); diff != "" || exit.Code != 0 {
			t.Errorf("ended with %v: %s", exit, diff)
		}
	})
}

// TestBindingLeavesNothing counts what the node holds before and after sandboxes
// that were bound, that could not be, and that were never.
func TestBindingLeavesNothing(t *testing.T) {
	before := held(t)
	t.Run("sandboxes", func(t *testing.T) { withEgress(t, bindAllWays) })
	patience := time.After(time.Minute) // for what the kernel does in its own time
	for {
		diff := cmp.Diff(before, held(t))
		if diff == "" {
			return
		}
		select {
		case <-patience:
			t.Fatal(diff)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func bindAllWays(t *testing.T, network linux.Network) {
	t.Helper()
	d := driverOf(t, linux.Config{NodeID: "suite", Network: network, Scratch: newStore(t)})
	for i := range 20 {
		sb := sandboxtest.Create(t, d, sandboxtest.Unbound("stem"))
		sandboxtest.Start(t, sb, sandboxtest.Shell("exec sleep 1000"))
		binding := sandboxtest.Binding(sandbox.Mount{Source: word(t, "code"), Target: "/var/task"})
		switch i % 4 {
		case 0:
			binding.Egress = function.Egress{Mode: function.EgressInternet}
			sandboxtest.Bind(t, sb, binding)
		case 1:
			sandboxtest.Bind(t, sb, binding)
		case 2: // the mount before has no such directory and is read-only
			binding.Mounts = append(binding.Mounts, sandbox.Mount{Source: word(t, "sub"), Target: "/var/task/sub"})
			if b, ok := sb.(sandbox.Binder); !ok || b.Bind(t.Context(), binding) == nil {
				t.Error("bound in spite of a mount point that is not there")
			}
		}
		sandboxtest.Destroy(t, sb)
	}
}

// held counts what this process holds: descriptors by kind, but for those of the
// poller, which come with the first use and stay; mounts; and the loop devices of
// the test's disks.
func held(t *testing.T) map[string]int {
	t.Helper()
	count := make(map[string]int)
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if kind, _, _ := strings.Cut(target, ":["); err == nil && !strings.Contains(target, "[event") {
			count[kind]++
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	count["mounts"] = strings.Count(string(mounts), "\n")
	images, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, name := range images {
		if image, err := os.ReadFile(name); err == nil && strings.Contains(string(image), "TestBindingLeavesNothing") {
			count["loop devices"]++
		}
	}
	return count
}
