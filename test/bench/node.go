package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/auth"
)

const (
	startTimeout = 30 * time.Second
	// probeInterval is how exactly a start is timed.
	probeInterval = 500 * time.Microsecond
)

// node is a mayfly that runs as a process of its own.
type node struct {
	*client.Client

	pid int
	// gateway is the data plane's address.
	gateway string
	// started is how long it took from exec to the first "ready".
	started time.Duration
	cmd     *exec.Cmd
	cancel  context.CancelFunc
	log     bytes.Buffer // read after the process's end alone
}

// startNode runs a node on dir and waits until it serves. Its memory for functions
// has room for as many environments as there are connections, whatever the machine.
// env adds to its environment, such as MAYFLY_ keys.
func startNode(ctx context.Context, binary, dir string, env ...string) (n *node, err error) {
	control, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	n = &node{}
	if n.gateway, err = freeAddress(ctx); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	n.cancel = cancel
	n.cmd = exec.CommandContext(running, binary, "up", "--data-dir", dir, "--control", control, "--gateway", n.gateway)
	n.cmd.Env = append(append(os.Environ(), "MAYFLY_MEMORY=96GiB", "MAYFLY_LOG_LEVEL=warn"), env...)
	n.cmd.Stdout, n.cmd.Stderr = &n.log, &n.log
	// An interrupt of the run is not the node's: its second signal ends it at once.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.cmd.Cancel = func() error { return n.cmd.Process.Signal(syscall.SIGTERM) }
	n.cmd.WaitDelay = startTimeout
	begun := time.Now()
	if err := n.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	n.pid = n.cmd.Process.Pid
	if err := n.ready(ctx, "http://"+control+"/readyz"); err != nil {
		return nil, errors.Join(err, n.stop(), fmt.Errorf("the node's output:\n%s", n.log.String()))
	}
	n.started = time.Since(begun)
	keys, err := auth.ReadKeys(dir)
	if err == nil {
		n.Client, err = client.New(client.Config{Endpoint: "http://" + control, Token: keys.Default().Token})
	}
	if err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// freeAddress returns a loopback address that nothing listens on now.
func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (n *node) ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the node was not ready within %s", startTimeout))
	defer cancel()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		if res, err := http.DefaultClient.Do(r); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if err := pause(ctx, probeInterval); err != nil {
			return err
		}
	}
}

// stop ends the node as an operator would.
func (n *node) stop() error {
	if n.Client != nil {
		n.Close()
	}
	n.cancel()
	if err := n.cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("the node ended with %w; its output:\n%s", err, strings.TrimSpace(n.log.String()))
	}
	return nil
}
