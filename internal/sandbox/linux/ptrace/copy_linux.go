package ptrace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Copy is a copy of a process that has not run yet. Its methods may be called
// while it is prepared, by the function that prepares it.
type Copy struct {
	// PID is its id as the host sees it.
	PID int

	first registers // to begin with
}

// begin waits until the copy is stopped, and notes what it begins with: what the
// kernel made of own, the registers of the process as it called fork.
func (c *Copy) begin(own *registers) error {
	t := tracee{pid: c.PID}
	if _, err := t.wait(); err != nil {
		return err
	}
	r, err := t.putBack(own)
	c.first = r
	return err
}

// Disarm has the copy leave the session of its origin, whose processes it could
// signal, and takes from it the capabilities that come with a new user namespace.
// It fails unless the copy then has no capability, can get none and is under its
// filter.
func (c *Copy) Disarm(lastCapability int) error {
	none, err := c.place(noCapabilities())
	if err != nil {
		return err
	}
	r := c.first
	r.disarm(lastCapability, none, none+unsafe.Sizeof(unix.CapUserHeader{}))
	if err := c.run(disarming, &r); err != nil {
		return fmt.Errorf("drop the capabilities of process %d: %w", c.PID, err)
	}
	return checkStatus(c.PID)
}

// noCapabilities are the two structures that capset takes.
func noCapabilities() []byte {
	b := make([]byte, unsafe.Sizeof(unix.CapUserHeader{})+unsafe.Sizeof([2]unix.CapUserData{}))
	binary.NativeEndian.PutUint32(b, unix.LINUX_CAPABILITY_VERSION_3)
	return b
}

// harmless are the lines of /proc/PID/status of a process without any privilege
// and under a filter.
var harmless = [][]byte{
	[]byte("\nCapInh:\t0000000000000000\n"), []byte("\nCapPrm:\t0000000000000000\n"), []byte("\nCapEff:\t0000000000000000\n"),
	[]byte("\nCapBnd:\t0000000000000000\n"), []byte("\nCapAmb:\t0000000000000000\n"),
	[]byte("\nNoNewPrivs:\t1\n"), []byte("\nSeccomp:\t2\n"),
}

func checkStatus(pid int) error {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return err
	}
	for _, line := range harmless {
		if !bytes.Contains(status, line) {
			return fmt.Errorf("process %d kept a privilege: its status lacks %q", pid, bytes.TrimSpace(line))
		}
	}
	return nil
}

// run has the copy run code, which ends with a breakpoint, in the place of its
// own: one stop for many calls.
func (c *Copy) run(code []byte, r *registers) error {
	t, at := tracee{pid: c.PID}, c.first.instruction()
	own := make([]byte, len(code))
	if _, err := unix.PtracePeekText(c.PID, at, own); err != nil {
		return fmt.Errorf("read its code: %w", err)
	}
	if _, err := unix.PtracePokeText(c.PID, at, code); err != nil {
		return fmt.Errorf("write its code: %w", err)
	}
	if err := t.setRegisters(r); err != nil {
		return err
	}
	if err := unix.PtraceCont(c.PID, 0); err != nil {
		return err
	}
	if _, err := t.wait(); err != nil {
		return err
	}
	if t.signal != int(unix.SIGTRAP) {
		return fmt.Errorf("stopped by signal %d", t.signal)
	}
	if _, err := unix.PtracePokeText(c.PID, at, own); err != nil {
		return fmt.Errorf("write its code back: %w", err)
	}
	return t.setRegisters(&c.first)
}

// belowStack is how far below the copy's stack pointer its memory is surely
// unused: more than what the calling conventions let a function use there.
const belowStack = 1024

// place puts data where nothing of the copy's is, and returns its address.
func (c *Copy) place(data []byte) (uintptr, error) {
	at := c.first.stack() - belowStack - uintptr(len(data))
	at -= at % 16
	if _, err := unix.PtracePokeData(c.PID, at, data); err != nil {
		return 0, fmt.Errorf("write to process %d: %w", c.PID, err)
	}
	return at, nil
}

// release lets the copy run.
func (c *Copy) release() error {
	t := tracee{pid: c.PID}
	return t.release()
}

// kill ends the copy, which has not run and never will.
func (c *Copy) kill() error {
	err := unix.Kill(c.PID, unix.SIGKILL)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill process %d: %w", c.PID, err)
	}
	return c.release()
}
