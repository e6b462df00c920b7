package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/gateway/http1"
)

// Bounds of both listeners. There is no time limit on a whole request: an
// invocation may take a day.
const (
	headerTimeout  = 10 * time.Second
	keepAliveIdle  = 2 * time.Minute
	maxHeaderBytes = 64 << 10
)

// listen takes both addresses first of all, so that a taken one is told before
// anything else is touched.
func (n *node) listen(ctx context.Context) error {
	var err error
	if n.controlListener, err = listenOn(ctx, "control", n.cfg.Control); err != nil {
		return err
	}
	n.onStop("control listener", func() error { return closed(n.controlListener.Close()) })
	if n.gatewayListener, err = listenOn(ctx, "gateway", n.cfg.Gateway); err != nil {
		return err
	}
	n.onStop("gateway listener", func() error {
		if n.gateway != nil {
			n.gateway.Wait() // by now whatever its handlers waited for has ended
		}
		return closed(n.gatewayListener.Close())
	})
	return nil
}

func listenOn(ctx context.Context, key, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	switch {
	case err == nil:
		return l, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fault.Wrap(err, fault.Conflict, "AddressInUse",
			"the address %s is taken by another program, perhaps another node: stop it, or choose another with --%s", address, key)
	case errors.Is(err, fs.ErrPermission):
		return nil, fault.Wrap(err, fault.Denied, "AddressDenied",
			"the address %s may not be used by this user: choose a port above 1023 with --%s", address, key)
	default:
		return nil, fault.Wrap(err, fault.Invalid, "Address", "the address %s can't be listened on: choose another with --%s", address, key)
	}
}

// serve starts both HTTP servers: net/http for the control plane, our own for the
// data plane. Their stop is the drain: it waits for requests under way for as
// long as the drain timeout allows.
func (n *node) serve(ctx context.Context) error {
	control := n.httpServer(n.controlHandler())
	n.gateway = http1.New(http1.Config{
		Handler: n.gatewayHandler(), MaxConnections: n.cfg.MaxConnections, MaxHeaderBytes: maxHeaderBytes,
		HeaderTimeout: headerTimeout, IdleTimeout: keepAliveIdle, Log: n.log.With("part", "http"),
	})
	n.run(control, n.controlListener, http.ErrServerClosed)
	n.run(n.gateway, n.gatewayListener, http1.ErrClosed)
	n.onStop("listeners", func() error {
		close(n.stopping)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.cfg.DrainTimeout)
		defer cancel()
		drained := make(chan error, 1)
		go func() { drained <- n.dispatcher.Drain(drain) }()
		err := errors.Join(n.gateway.Shutdown(drain), control.Shutdown(drain))
		if err = errors.Join(<-drained, err); err != nil {
			n.log.WarnContext(ctx, "the drain timeout is over, what still runs is cut off", "in_flight", n.dispatcher.InFlight(), "err", err)
		}
		n.gateway.Close()
		return closed(control.Close())
	})
	return nil
}

func (n *node) httpServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: keepAliveIdle, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(n.log.With("part", "http").Handler(), slog.LevelDebug),
	}
}

// run serves l until the server's Shutdown or Close, when Serve returns ended.
func (n *node) run(s interface{ Serve(l net.Listener) error }, l net.Listener, ended error) {
	go func() {
		if err := s.Serve(l); !errors.Is(err, ended) {
			select {
			case n.failed <- fmt.Errorf("serve %s: %w", l.Addr(), err):
			default:
			}
		}
	}()
}

// closed drops the error of what was closed already.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
