//go:build linux

package linux_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/sandboxtest"
)

// original is a program that forks when it is asked to, as language support
// does. It first runs its argument. A copy evaluates what it is told, line by
// line, and answers with the results.
const original = `
import os, socket, sys
child = os.fork()
while child:
    ended, status = os.wait()
    if ended == child: os._exit(0)
talk = socket.socket(fileno=3)
exec(sys.argv[1])
talk.send(b"ready")
copies = {}
while True:
    message, fds, _, _ = socket.recv_fds(talk, 2, 1)
    if not message: os._exit(0)
    if message[0] == ord("r"):
        if message[1] in copies: os.waitpid(copies.pop(message[1]), 0)
        continue
    try: pid = os.fork()
    except OSError: pid = -1
    if pid == 0: break
    os.close(fds[0])
    copies[message[1]] = pid
talk.close()
talk = socket.socket(fileno=fds[0])
lines = talk.makefile("rw")
for line in lines:
    try: result = eval(line)
    except BaseException as e: result = e
    print(result if isinstance(result, str) else repr(result), end="\0", file=lines, flush=True)
`

// origin is a sandbox whose process can be copied.
type origin struct {
	t       *testing.T
	sandbox sandbox.Sandbox
	process sandbox.Process
	talk    *net.UnixConn
	spec    sandbox.Spec // of copies
	copies  int
}

// newOrigin starts a program that has run prelude.
func newOrigin(t *testing.T, d sandbox.Driver, prelude string) *origin {
	t.Helper()
	return newOriginIn(t, d, sandboxtest.Spec("origin"), prelude)
}

func newOriginIn(t *testing.T, d sandbox.Driver, spec sandbox.Spec, prelude string) *origin {
	t.Helper()
	o := &origin{t: t, spec: sandboxtest.Spec("copy"), sandbox: sandboxtest.Create(t, d, spec)}
	var theirs *os.File
	o.talk, theirs = pair(t)
	var err error
	o.process, err = o.sandbox.Start(t.Context(), originalCommand(prelude, theirs))
	_ = theirs.Close() // or the end of the program's would not be seen
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.talk.Read(make([]byte, 5)); err != nil {
		t.Fatalf("the program did not start: %v", err)
	}
	return o
}

func originalCommand(prelude string, theirs *os.File) sandbox.Command {
	return sandbox.Command{
		Path: "/usr/bin/python3", Args: []string{"python3", "-c", original, prelude}, Stderr: os.Stderr,
		Env: []string{"PATH=/usr/bin:/bin"}, Files: []*os.File{theirs},
	}
}

// pair returns two ends of a conversation, the first of which t closes.
func pair(t *testing.T) (*net.UnixConn, *os.File) {
	t.Helper()
	ours, theirs, err := conversation()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ours.Close() })
	if err := ours.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func conversation() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fds[0]), "ours")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, nil, err
	}
	return conn.(*net.UnixConn), os.NewFile(uintptr(fds[1]), "theirs"), nil
}

// replica is a copy.
type replica struct {
	t       *testing.T
	sandbox sandbox.Sandbox
	process sandbox.Process
	talk    *net.UnixConn
	answers *bufio.Reader
}

func (o *origin) forker() sandbox.Forker { return o.sandbox.(sandbox.Forker) }

func (o *origin) try() (*replica, error) {
	o.t.Helper()
	o.copies++
	r := &replica{t: o.t}
	var theirs *os.File
	r.talk, theirs = pair(o.t)
	defer theirs.Close()
	r.answers = bufio.NewReader(r.talk)
	number, rights := byte(o.copies), unix.UnixRights(int(theirs.Fd()))
	spec := o.spec
	spec.ID = fmt.Sprintf("%s-%d", spec.ID, o.copies)
	var err error
	r.sandbox, r.process, err = o.forker().Fork(o.t.Context(), spec, sandbox.Forking{
		Ask: func() error {
			_, _, err := o.talk.WriteMsgUnix([]byte{'f', number}, rights, nil)
			return err
		},
		Reap: func() { _, _ = o.talk.Write([]byte{'r', number}) },
	})
	if err == nil {
		o.t.Cleanup(func() { sandboxtest.Destroy(o.t, r.sandbox) })
	}
	return r, err
}

// fork makes a copy.
func (o *origin) fork() *replica {
	o.t.Helper()
	r, err := o.try()
	if err != nil {
		o.t.Fatal(err)
	}
	return r
}

// say tells the copy an expression and does not wait for its value.
func (r *replica) say(expression string) {
	r.t.Helper()
	if _, err := r.talk.Write([]byte(expression + "\n")); err != nil {
		r.t.Fatal(err)
	}
}

// ask returns the value of an expression in the copy.
func (r *replica) ask(expression string) string {
	r.t.Helper()
	r.say(expression)
	answer, err := r.answers.ReadString(0)
	if err != nil {
		r.t.Fatalf("%s: %v", expression, err)
	}
	return strings.TrimSuffix(answer, "\x00")
}

// ends waits for the end of the copy.
func (r *replica) ends() sandbox.Exit {
	r.t.Helper()
	select {
	case <-r.process.Done():
		return r.process.Exit()
	case <-time.After(time.Minute):
		r.t.Fatal("the copy does not end")
		return sandbox.Exit{}
	}
}
