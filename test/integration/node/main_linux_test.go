// Package node_test runs whole nodes, as processes of their own, and does to
// them what the world does: calls them, fills their disks, stops and kills them.
//
// The test binary is the node too: started with the variable asNode it runs the
// command line, so that a test with -race checks the node for races. All of it
// happens in a network namespace that has lo alone.
package node_test

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
	diskAt   = "NODE_DISK_AT"
	diskSize = "NODE_DISK_SIZE"
)

func TestMain(m *testing.M) {
	netlab.Enter()
	if os.Getenv(asNode) != "" {
		os.Exit(beNode())
	}
	if err := loopback(); err != nil {
		fmt.Fprintln(os.Stderr, "bring up lo:", err)
		os.Exit(1)
	}
	flag.Parse()
	// Most of these tests wait for a node: more of them than there are processors
	// can run at once.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
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
	if dir := os.Getenv(diskAt); dir != "" {
		if err := syscall.Mount("disk", dir, "tmpfs", 0, "mode=0700,size="+os.Getenv(diskSize)); err != nil {
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
