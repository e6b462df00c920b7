//go:build unix

package none

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"mayfly.dev/mayfly/internal/sandbox"
)

// Sandbox is one sandbox of a [Driver].
type Sandbox struct {
	driver *Driver
	spec   sandbox.Spec
	dir    string

	// mu guards all below. Destroy holds it to its end, so that a second call
	// waits for the first.
	mu        sync.Mutex
	bound     bool
	mounts    []sandbox.Mount
	listeners []net.Listener
	proc      *proc
	destroyed bool
}

var (
	_ sandbox.Sandbox    = (*Sandbox)(nil)
	_ sandbox.PathMapper = (*Sandbox)(nil)
	_ sandbox.Binder     = (*Sandbox)(nil)
)

// ID returns the id of the sandbox's spec.
func (s *Sandbox) ID() string { return s.spec.ID }

func (s *Sandbox) tmp() string { return filepath.Join(s.dir, "tmp") }

// HostPath returns where a path of the sandbox really is: below a mount's source,
// in the sandbox's own /tmp, or where it says.
func (s *Sandbox) HostPath(inside string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hostPath(inside)
}

func (s *Sandbox) hostPath(inside string) string {
	best := sandbox.Mount{Source: inside}
	for _, m := range append(slices.Clip(s.mounts), sandbox.Mount{Source: s.tmp(), Target: "/tmp"}) {
		if (inside == m.Target || strings.HasPrefix(inside, m.Target+"/")) && len(m.Target) > len(best.Target) {
			best = m
		}
	}
	if best.Target == "" {
		return inside
	}
	return filepath.Join(best.Source, inside[len(best.Target):])
}

// Listen opens a TCP listener on the host: at address, or at a free port if that
// is taken, as it is for all sandboxes but one. Its Addr says which.
func (s *Sandbox) Listen(ctx context.Context, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return nil, sandbox.ErrDestroyed
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		host, _, _ := net.SplitHostPort(address)
		l, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return nil, fmt.Errorf("listen for sandbox: %w", err)
	}
	s.listeners = append(s.listeners, l)
	return l, nil
}

// Start runs the sandbox's first process. Its path and directory are mapped; its
// arguments and environment are not, except that TMPDIR is added if missing.
func (s *Sandbox) Start(ctx context.Context, cmd sandbox.Command) (sandbox.Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return nil, sandbox.ErrDestroyed
	case s.proc != nil:
		return nil, sandbox.ErrStarted
	}
	p, err := start(s.command(cmd))
	if err != nil {
		return nil, sandbox.ProgramFault(err, cmd.Path)
	}
	if err := note(filepath.Join(s.dir, noteFile), p.PID()); err != nil {
		return nil, errors.Join(fmt.Errorf("start sandbox: %w", err), p.end(context.WithoutCancel(ctx)))
	}
	s.proc = p
	return p, nil
}

func (s *Sandbox) command(cmd sandbox.Command) *exec.Cmd {
	c := &exec.Cmd{
		Path: s.hostPath(cmd.Path), Args: cmd.Args, Env: cmd.Env, ExtraFiles: cmd.Files,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	if cmd.Dir != "" {
		c.Dir = s.hostPath(cmd.Dir)
	}
	if !slices.ContainsFunc(c.Env, func(v string) bool { return strings.HasPrefix(v, "TMPDIR=") }) {
		c.Env = append(slices.Clone(c.Env), "TMPDIR="+s.tmp())
	}
	// A nil *os.File in the interface would not be nil.
	if cmd.Stdout != nil {
		c.Stdout = cmd.Stdout
	}
	if cmd.Stderr != nil {
		c.Stderr = cmd.Stderr
	}
	return c
}

// Bind adds mounts to those that HostPath knows: this driver has nothing else to
// give or to keep back.
func (s *Sandbox) Bind(ctx context.Context, b sandbox.Binding) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("bind sandbox: %w", err)
	}
	if err := checkMounts(b.Mounts); err != nil {
		return fmt.Errorf("bind sandbox: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.destroyed:
		return sandbox.ErrDestroyed
	case s.bound:
		return sandbox.ErrBound
	case s.proc == nil:
		return sandbox.ErrNotStarted
	}
	select {
	case <-s.proc.Done():
		return sandbox.ErrEnded
	default:
	}
	s.bound = true
	s.mounts = slices.Concat(s.mounts, b.Mounts)
	return nil
}

// Usage reports what the first process and those that it waited for used, once
// it has ended; the driver measures nothing else.
func (s *Sandbox) Usage() (sandbox.Usage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.destroyed {
		return sandbox.Usage{}, sandbox.ErrDestroyed
	}
	if s.proc == nil {
		return sandbox.Usage{}, nil
	}
	return s.proc.usage(), nil
}

// Destroy kills the sandbox's process group and removes its files. After an
// error it may be called again.
func (s *Sandbox) Destroy(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.destroyed = true
	for _, l := range s.listeners {
		_ = l.Close() // the caller may have closed it
	}
	s.listeners = nil
	if s.proc != nil {
		if err := s.proc.end(ctx); err != nil {
			return fmt.Errorf("destroy sandbox: %w", err)
		}
		s.proc = nil
	}
	if err := os.RemoveAll(s.dir); err != nil {
		return fmt.Errorf("destroy sandbox: %w", err)
	}
	s.driver.delist(s)
	return nil
}
