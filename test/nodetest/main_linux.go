package nodetest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"mayfly.dev/mayfly/internal/cli"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/server"
	"mayfly.dev/mayfly/test/netlab"
)

// The variables that make the test binary a node, and give it a disk of its own,
// of a size, at a directory first.
const (
	asNode   = "NODE_UNDER_TEST"
	DiskAt   = "NODE_DISK_AT"
	DiskSize = "NODE_DISK_SIZE"
)

// Main runs the tests of a package in a network namespace, or the node that one
// of them started. What it returns is the exit code.
func Main(m *testing.M) int {
	netlab.Enter()
	if os.Getenv(asNode) != "" {
		return beNode()
	}
	if err := loopback(); err != nil {
		fmt.Fprintln(os.Stderr, "bring up lo:", err)
		return 1
	}
	flag.Parse()
	// Most of these tests wait for a node: more of them than there are processors
	// can run at once.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	return m.Run()
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// beNode is what cmd/mayfly does.
func beNode() int {
	if dir := os.Getenv(DiskAt); dir != "" {
		if err := syscall.Mount("disk", dir, "tmpfs", 0, "mode=0700,size="+os.Getenv(DiskSize)); err != nil {
			fmt.Fprintln(os.Stderr, "mount the small disk:", err)
			return 1
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MAYFLY_NETLAB=") })
	program := &cli.Program{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: environ, Scan: language.Scan,
		Serve: func(ctx context.Context, cfg config.Config, log *slog.Logger, ready func(cli.Ready)) error {
			return server.Run(ctx, cfg, server.Options{Version: "test", Log: log, Ready: func(i server.Info) { ready(cli.Ready(i)) }})
		},
	}
	return program.Main(ctx, os.Args[1:])
}
