package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox"
	"mayfly.dev/mayfly/internal/sandbox/linux"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/internal/sandbox/linux/scratch"
)

const driverID = "bench"

// sandbox compares the first byte of a program in a sandbox of its own, from
// nothing, with the same program as a plain process.
func (b *bench) sandbox(ctx context.Context) (_ *Table, err error) {
	driver, closeDriver, err := b.driver(ctx)
	defer func() { err = errors.Join(err, closeDriver()) }()
	if err != nil {
		return nil, err
	}
	t := &Table{
		Title:   "First byte of a process, in a sandbox made for it and bare",
		Columns: []Column{{"bare", "ms"}, {"sandboxed", "ms"}, {"over", "ms"}, {"ratio", "×"}},
	}
	const inside = "/var/task/program"
	for _, p := range []struct {
		name, path string
		mount      sandbox.Mount
		args       []string
	}{
		{"static C program", inside, sandbox.Mount{Source: b.static, Target: inside}, nil},
		{"Go program", inside, sandbox.Mount{Source: b.goHello, Target: inside}, []string{"print"}},
		{"Python " + b.python.Version, b.python.Path, sandbox.Mount{Source: b.python.Prefix, Target: b.python.Prefix}, []string{"-c", "print('hello')"}},
		{"Node.js " + b.node.Version, b.node.Path, sandbox.Mount{Source: b.node.Prefix, Target: b.node.Prefix}, []string{"-e", "console.log('hello')"}},
	} {
		outside := p.path
		if p.path == inside {
			outside = p.mount.Source
		}
		spec := sandbox.Spec{
			MemoryBytes: memoryMB << 20, MilliCPU: 1000, PIDs: 1024, OpenFiles: 1024, TmpBytes: 512 << 20,
			Egress: function.Egress{Mode: function.EgressInternet},
		}
		if p.mount.Source != "" {
			spec.Mounts = []sandbox.Mount{p.mount}
		}
		cmd := sandbox.Command{Path: p.path, Args: append([]string{p.path}, p.args...), Env: environment}
		times, err := interleave(ctx, b.rounds(40), bare(outside, p.args...), sandboxed(driver, spec, cmd, refillSandboxes))
		if err != nil {
			return nil, err
		}
		x, y := milliseconds(median(times[0])), milliseconds(median(times[1]))
		t.row(p.name, map[string]float64{"bare": x, "sandboxed": y, "over": y - x, "ratio": y / x})
		if p.mount.Source == b.static {
			b.atMost("sandbox-over", "sandboxed process against bare process, first byte", "ms", y-x, 2)
			rate, err := b.sandboxRate(ctx, sandboxed(driver, spec, cmd, 0))
			if err != nil {
				return nil, err
			}
			b.atLeast("sandbox-rate", "sandboxes made, used and destroyed one after the other on each processor", "/s", rate, 200)
		}
	}
	return t, nil
}

// sandboxRate makes sandboxes, one at a time on each processor, and returns how
// many are there and gone again in a second.
func (b *bench) sandboxRate(ctx context.Context, one contestant) (float64, error) {
	span := 3 * time.Second
	if b.quick {
		span = time.Second
	}
	var made atomic.Int64
	begun := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.NumCPU() {
		group.Go(func() error {
			for time.Since(begun) < span {
				if _, err := one(ctx); err != nil {
					return err
				}
				made.Add(1)
			}
			return nil
		})
	}
	err := group.Wait()
	return float64(made.Load()) / time.Since(begun).Seconds(), err
}

// driver opens the sandbox driver as a node does. The closer is never nil.
func (b *bench) driver(ctx context.Context) (d *linux.Driver, closeAll func() error, err error) {
	var closers []func() error
	closeAll = func() error {
		var errs []error
		for _, c := range slices.Backward(closers) {
			errs = append(errs, c())
		}
		return errors.Join(errs...)
	}
	dir := filepath.Join(b.dir, "sandboxes")
	cfg := linux.Config{StateDir: dir, NodeID: driverID}
	if os.Geteuid() == 0 {
		network, err := egress.New(egress.Config{NodeID: driverID})
		if err != nil {
			return nil, closeAll, err
		}
		closers = append(closers, network.Close)
		cfg.Network = linux.Egress(network)
		disks, err := scratch.Open(ctx, scratch.Config{Dir: filepath.Join(dir, "scratch")})
		switch {
		case err == nil:
			closers = append(closers, disks.Close)
			cfg.Scratch = disks
		case !fault.Is(err, fault.Unsupported, "ScratchDisk"):
			return nil, closeAll, err
		}
	}
	if d, err = linux.New(cfg); err != nil {
		return nil, closeAll, err
	}
	closers = append(closers, d.Close)
	return d, closeAll, d.Sweep(ctx)
}

// refillSandboxes is how long the driver has between two starts to make again what
// it keeps ready, as it has on a node unless starts come faster than that.
const refillSandboxes = 20 * time.Millisecond

// sandboxed is the contestant that makes a sandbox and runs cmd in it.
func sandboxed(d sandbox.Driver, spec sandbox.Spec, cmd sandbox.Command, rest time.Duration) contestant {
	var made atomic.Int64
	return func(ctx context.Context) (took time.Duration, err error) {
		if err := pause(ctx, rest); err != nil {
			return 0, err
		}
		spec, cmd := spec, cmd
		spec.ID = fmt.Sprintf("bench-%d", made.Add(1))
		var sb sandbox.Sandbox
		took, err = firstByte(func(stdout *os.File) (err error) {
			if sb, err = d.Create(ctx, spec); err != nil {
				return err
			}
			cmd.Stdout = stdout
			_, err = sb.Start(ctx, cmd)
			return err
		})
		if sb != nil {
			err = errors.Join(err, sb.Destroy(ctx))
		}
		return took, err
	}
}
