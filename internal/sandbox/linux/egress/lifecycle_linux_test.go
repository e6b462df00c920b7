package egress_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

// tables lists the tables of nodes in the namespace of the process.
func tables(t *testing.T) []string {
	t.Helper()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	list, err := conn.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range list {
		if strings.HasPrefix(table.Name, "mayfly_") {
			names = append(names, table.Name)
		}
	}
	return names
}

func forwarding(t *testing.T) string {
	t.Helper()
	value, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// nothingLeft checks that no node has left anything in the namespace.
func nothingLeft(t *testing.T) {
	t.Helper()
	if got := uplinks(t); len(got) > 0 {
		t.Errorf("devices %v are left", got)
	}
	if got := tables(t); len(got) > 0 {
		t.Errorf("tables %v are left", got)
	}
	if got := forwarding(t); got != "0" {
		t.Errorf("forwarding is %s, want 0 as before", got)
	}
}

// eventually waits for something that the kernel does in its own time.
func eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{Pool: 3})
	n := acquire(t, m, internet)
	reaches(t, n, at(netlab.PublicAddress))
	if got := forwarding(t); got != "1" {
		t.Errorf("forwarding is %s, want 1", got)
	}
	if err := errors.Join(n.Release(), n.Release(), m.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
}

func TestManyAtOnceLeaveNothing(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{Pool: 8})
	mixed := []function.Egress{internet, none, allow("203.0.113.0/24"), allow("10.0.0.0/8")}
	errs := make(chan error, 200)
	var wait sync.WaitGroup
	for i := range cap(errs) {
		wait.Go(func() {
			n, err := m.Acquire(t.Context(), mixed[i%len(mixed)])
			if err == nil {
				_, err = n.Listen(t.Context(), "127.0.0.1:9001")
				err = errors.Join(err, n.Release())
			}
			errs <- err
		})
	}
	wait.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	eventually(t, "only the pool's devices are left in the router", func() bool {
		names, err := m.RouterDevices()
		names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, "s") || name == "sit0" })
		return err == nil && len(names) <= 9 // the pool, and the one that waits for a place in it
	})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
}

func TestListenIsInsideAndEndsWithTheNamespace(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	a, b := acquire(t, m, none), acquire(t, m, none)
	la, err := a.Listen(t.Context(), "127.0.0.1:9001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Listen(t.Context(), "127.0.0.1:9001"); err != nil {
		t.Fatalf("the same address in another namespace: %v", err)
	}
	accepted := make(chan error, 1)
	go func() {
		conn, err := la.Accept()
		if err == nil {
			_, err = conn.Write([]byte(conn.LocalAddr().String()))
			err = errors.Join(err, conn.Close())
		}
		accepted <- err
	}()
	got, err := call(t.Context(), a, "tcp", "127.0.0.1:9001")
	if err != nil || got.String() != "127.0.0.1:9001" {
		t.Errorf("the listener answered %s, %v", got, err)
	}
	if err := <-accepted; err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Error(err)
	}
	if err := a.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := la.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Release: %v, want %v", err, net.ErrClosed)
	}
	if _, err := a.Listen(t.Context(), "127.0.0.1:9001"); !fault.Is(err, fault.Unavailable, "NamespaceReleased") {
		t.Errorf("Listen after Release: %v", err)
	}
	if _, err := b.Listen(t.Context(), "localhost:9001"); !fault.Is(err, fault.Invalid, "ListenAddress") {
		t.Errorf("Listen at a name: %v", err)
	}
}

func TestReleaseCutsConnections(t *testing.T) {
	lab := netlab.New(t)
	m := newManager(t, egress.Config{})
	n, err := m.Acquire(t.Context(), internet)
	if err != nil {
		t.Fatal(err)
	}
	// A connection that the namespace's sockets outlive the release with.
	var conn net.Conn
	err = netlab.In(n.FD(), func() (err error) {
		conn, err = net.Dial("udp", at(netlab.PublicAddress))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := n.Release(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, _ = conn.Write([]byte("late")) // refused or lost
	}
	reaches(t, acquire(t, m, internet), at(netlab.PublicAddress))
	if got := len(lab.Public.Visits()); got != 2 {
		t.Errorf("%d visits, want the 2 of the sandbox that lives", got)
	}
}

func TestTwoNodesShareAHost(t *testing.T) {
	netlab.New(t)
	first, second := newManager(t, egress.Config{NodeID: "first"}), newManager(t, egress.Config{NodeID: "second"})
	reaches(t, acquire(t, first, internet), at(netlab.PublicAddress))
	n := acquire(t, second, internet)
	reaches(t, n, at(netlab.PublicAddress))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := second.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	reaches(t, n, at(netlab.PublicAddress))
	if err := errors.Join(n.Release(), second.Close()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
}

// The host forwards for sandboxes and for nobody who could not ask it before.
func TestTheHostDoesNotBecomeARouter(t *testing.T) {
	lab := netlab.New(t)
	newManager(t, egress.Config{})
	err := lab.Public.Do(func() error {
		conn, err := net.Dial("udp", at(netlab.PrivateAddress))
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.Write([]byte("hello"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// The node's own call arrives after whatever was forwarded.
	conn, err := net.Dial("udp", at(netlab.PrivateAddress))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node's own call", func() bool { return len(lab.Private.Visits()) > 0 })
	for _, v := range lab.Private.Visits() {
		if v.Addr().String() != netlab.NodePrivate {
			t.Errorf("a visit from %s was forwarded", v)
		}
	}
}

func TestForwardingThatWasOnStaysOn(t *testing.T) {
	netlab.New(t)
	setForwarding(t, "1")
	defer setForwarding(t, "0")
	m := newManager(t, egress.Config{})
	if got := tables(t); len(got) != 1 {
		t.Errorf("tables %v, want no guard", got)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := forwarding(t); got != "1" {
		t.Errorf("forwarding is %s, want 1 as before", got)
	}
}

func setForwarding(t *testing.T, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

func TestForwardingStaysForAnotherProgramThatUsesIt(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	drop := nftables.ChainPolicyDrop
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"})
	conn.AddChain(&nftables.Chain{
		Name: "FORWARD", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop,
	})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := forwarding(t); got != "1" {
		t.Errorf("forwarding is %s, want 1 for the other program", got)
	}
	if got := tables(t); len(got) != 1 || !strings.HasSuffix(got[0], "_guard") {
		t.Errorf("tables %v, want the guard alone", got)
	}

	again := newManager(t, egress.Config{})
	if gaps := again.Gaps(); len(gaps) != 1 || !strings.Contains(gaps[0].Why, "chain FORWARD of table filter") {
		t.Errorf("gaps %v, want the firewall that drops", gaps)
	}
	conn.DelTable(table)
	if err := errors.Join(conn.Flush(), again.Close()); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
}

// crashing is set in a process that starts a manager and waits to be killed.
const crashing = "MAYFLY_TEST_CRASH"

func TestAStartAfterACrashFindsItsOwnLeftovers(t *testing.T) {
	if os.Getenv(crashing) != "" {
		crash(t)
	}
	netlab.New(t)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), crashing+"=1")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the crashing node ended so: %v\n%s", err, output.String())
	}
	eventually(t, "the kernel frees the crashed node's devices and tables", func() bool {
		return len(uplinks(t)) == 0 && len(tables(t)) == 1
	})
	if got := forwarding(t); got != "1" {
		t.Fatalf("forwarding is %s, want 1 behind the guard", got)
	}
	m := newManager(t, egress.Config{NodeID: "crashing"})
	reaches(t, acquire(t, m, internet), at(netlab.PublicAddress))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	nothingLeft(t)
}

func crash(t *testing.T) {
	t.Helper()
	m := newManager(t, egress.Config{NodeID: "crashing"})
	reaches(t, acquire(t, m, internet), at(netlab.PublicAddress))
	if t.Failed() {
		return
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func TestLeftoversOfThisNodeAloneAreSwept(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	own := m.Device()[:len("mfy")+8]
	leftovers := []string{own + "dead", "mfyffffffffdead"}
	for _, name := range leftovers {
		err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: "of-" + name[11:] + name[3:5]})
		if err != nil {
			t.Fatal(err)
		}
	}
	defer func() {
		if err := netlink.LinkDel(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: leftovers[1]}}); err != nil {
			t.Error(err)
		}
	}()
	conn, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	stale := "mayfly_" + own[len("mfy"):] + "_dead"
	conn.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: stale})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := m.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{m.Device(), leftovers[1]}
	got := uplinks(t)
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("devices %v, want %v", got, want)
	}
	if slices.Contains(tables(t), stale) {
		t.Errorf("the table %s is left", stale)
	}
	reaches(t, acquire(t, m, internet), at(netlab.PublicAddress))
}

func TestConfigurationFaults(t *testing.T) {
	netlab.New(t)
	for name, c := range map[string]struct {
		cfg    egress.Config
		kind   fault.Kind
		reason string
	}{
		"no node":    {egress.Config{}, fault.Invalid, "NodeID"},
		"IPv6":       {egress.Config{NodeID: "n", Subnet: netip.MustParsePrefix("fd00::/16")}, fault.Invalid, "Subnet"},
		"too narrow": {egress.Config{NodeID: "n", Subnet: netip.MustParsePrefix("10.1.0.0/24")}, fault.Invalid, "Subnet"},
		"flows":      {egress.Config{NodeID: "n", Flows: -1}, fault.Invalid, "Flows"},
		"in use":     {egress.Config{NodeID: "n", Subnet: netip.MustParsePrefix("10.20.0.0/16")}, fault.Conflict, "SubnetInUse"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := egress.New(c.cfg); !fault.Is(err, c.kind, c.reason) {
				t.Errorf("New: %v, want %v %s", err, c.kind, c.reason)
			}
		})
	}
	nothingLeft(t)
}

func TestAcquireFaults(t *testing.T) {
	netlab.New(t)
	m := newManager(t, egress.Config{})
	if _, err := m.Acquire(t.Context(), function.Egress{Mode: "lots"}); !fault.Is(err, fault.Invalid, "Egress") {
		t.Errorf("an unknown mode: %v", err)
	}
	if _, err := m.Acquire(t.Context(), allow("10.0.0.0")); !fault.Is(err, fault.Invalid, "Egress") {
		t.Errorf("an address as a network: %v", err)
	}
	if _, err := m.Acquire(t.Context(), allow(slices.Repeat([]string{"10.0.0.0/8"}, function.MaxEgressNetworks+1)...)); !fault.Is(err, fault.Invalid, "Egress") {
		t.Errorf("too long a list: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Acquire(ctx, internet); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

// lesser is set in a process with fewer rights; its value says which.
const lesser = "MAYFLY_TEST_RIGHTS"

func TestWithoutRightsNothingIsLetOut(t *testing.T) {
	switch os.Getenv(lesser) {
	case "user":
		withoutRights(t, func(n *egress.Namespace, err error) {
			if !fault.Is(err, fault.Unsupported, "NetworkNamespace") {
				t.Errorf("Acquire: %v, want Unsupported", err)
			}
		})
		return
	case "user namespace":
		withoutRights(t, func(n *egress.Namespace, err error) {
			if err != nil {
				t.Fatal(err)
			}
			misses(t, n, at(netlab.PublicAddress))
			if _, err := n.Listen(t.Context(), "127.0.0.1:9001"); err != nil {
				t.Error(err)
			}
			if err := n.Release(); err != nil {
				t.Error(err)
			}
		})
		return
	}
	if uids, err := os.ReadFile("/proc/self/uid_map"); err != nil || !strings.Contains(string(uids), "4294967295") {
		t.Skipf("only real root can start a process as another user: %s %v", uids, err)
	}
	lab := netlab.New(t)
	t.Run("user", func(t *testing.T) {
		runLesser(t, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	})
	t.Run("user namespace", func(t *testing.T) {
		// Root in a user namespace that does not own the network namespace.
		runLesser(t, &syscall.SysProcAttr{
			Credential:  &syscall.Credential{NoSetGroups: true}, // root of the new namespace
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{HostID: 65534, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: 65534, Size: 1}},
		})
	})
	if v := lab.Public.Visits(); len(v) > 0 {
		t.Errorf("visits from %v, want none", v)
	}
	nothingLeft(t)
}

func runLesser(t *testing.T, attr *syscall.SysProcAttr) {
	t.Helper()
	parent, rights, _ := strings.Cut(t.Name(), "/")
	// Another user can't run the test binary where go test puts it.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	dir, err := os.MkdirTemp("", "egress") //nolint:usetesting // t.TempDir is in a directory that others can't enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	binary, err := os.OpenFile(dir+"/test", os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(binary, self)
	if err := errors.Join(err, binary.Close(), os.Chmod(dir, 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), dir+"/test", "-test.run=^"+parent+"$")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s", lesser, strings.ReplaceAll(rights, "_", " ")))
	cmd.SysProcAttr = attr
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func withoutRights(t *testing.T, check func(*egress.Namespace, error)) {
	t.Helper()
	m := newManager(t, egress.Config{})
	if gaps := m.Gaps(); len(gaps) != 1 || !strings.Contains(gaps[0].Why, "lacks the right") {
		t.Errorf("gaps %v, want the missing right", gaps)
	}
	n, err := m.Acquire(t.Context(), internet)
	check(n, err)
}
