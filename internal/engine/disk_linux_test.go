package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"mayfly.dev/mayfly/internal/engine"
	"mayfly.dev/mayfly/internal/fault"
)

func init() { //nolint:gochecknoinits // a child has to be known before TestMain runs
	children["filler"] = fillDisk
}

// fillDisk runs in a mount namespace of its own. It fills a small disk until
// the engine refuses, and sees that reading and deleting still work.
func fillDisk(dir string) {
	ctx := context.Background()
	check(syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"))
	e, err := engine.Start(ctx, engine.Config{Dir: dir})
	check(err)
	b, err := e.Bucket(ctx, "b")
	check(err)
	value := randomBytes(1 << 20)
	_, err = b.Put(ctx, "first", value)
	check(err)
	for i := 0; err == nil && i < 200; i++ {
		_, err = b.Put(ctx, fmt.Sprintf("k%d", i), value)
	}
	if !fault.Is(err, fault.Unavailable, "DiskFull") {
		panic(fmt.Sprintf("a full disk answers %v", err))
	}
	o, err := e.Objects(ctx, "code")
	check(err)
	if err := o.Put(ctx, "o", bytes.NewReader(value), int64(len(value))); !fault.Is(err, fault.Unavailable, "DiskFull") {
		panic(fmt.Sprintf("storing an object on a full disk answers %v", err))
	}
	got, err := b.Get(ctx, "first")
	check(err)
	if !bytes.Equal(got.Value, value) {
		panic("the value read from a full disk is another")
	}
	check(b.Delete(ctx, "first"))
	check(e.Close())
	e, err = engine.Start(ctx, engine.Config{Dir: dir})
	check(err)
	b, err = e.Bucket(ctx, "b")
	check(err)
	_, err = b.Get(ctx, "k0")
	check(err)
	check(e.Close())
}

func TestFullDiskIsRefusedAndNotFatal(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], t.TempDir())
	cmd.Env = append(os.Environ(), childVariable+"=filler")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the child on a full disk: %v\n%s", err, out)
	}
}

func TestUnwritableDirectoryIsDenied(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), childVariable+"=readonly")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("the child on a read-only disk: %v\n%s", err, out)
	}
}

func init() { //nolint:gochecknoinits // a child has to be known before TestMain runs
	children["readonly"] = func(dir string) {
		check(syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_RDONLY, ""))
		_, err := engine.Start(context.Background(), engine.Config{Dir: dir})
		if !fault.Is(err, fault.Denied, "DataDirDenied") {
			check(errors.Join(errors.New("a read-only directory answers"), err))
			panic("a read-only directory is accepted")
		}
	}
}
