package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loader is one thread that drives all connections of a load with epoll: it shares
// the machine's processors with what it measures, and takes about a third of what
// a goroutine for each connection does.
type loader struct {
	work    work
	address unix.Sockaddr
	request []byte
	epoll   int
	timer   int // wakes the thread when a request is due
	conns   []*connection
	idle    []*connection // the one that was used last is used next

	begun time.Time
	sent  int
	busy  int
	found burst
}

// connection is a keep-alive connection that carries one request at a time.
type connection struct {
	fd     int
	due    time.Time // of the request under way
	buffer []byte
	n      int
}

// answerTimeout ends a load whose target does not answer.
const answerTimeout = 30 * time.Second

func newLoader(t target, w work) (l *loader, err error) {
	address, err := netip.ParseAddrPort(t.address)
	if err != nil {
		return nil, err
	}
	l = &loader{
		work: w, request: request(t, "/", w.timing), epoll: -1, timer: -1,
		address: &unix.SockaddrInet4{Port: int(address.Port()), Addr: address.Addr().As4()},
	}
	defer func() {
		if err != nil {
			l.close()
		}
	}()
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll_create: %w", err)
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	if err := l.watch(l.timer, timerIndex); err != nil {
		return nil, err
	}
	for range w.connections {
		conn := &connection{fd: -1, buffer: make([]byte, maxAnswer)}
		l.conns = append(l.conns, conn)
		if err := l.connect(conn, len(l.conns)-1); err != nil {
			return nil, err
		}
		l.idle = append(l.idle, conn)
	}
	return l, nil
}

// timerIndex stands for the timer where connections have their index.
const timerIndex = -1

func (l *loader) watch(fd, index int) error {
	event := &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP, Fd: int32(index)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, event); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// connect opens a connection, in place of one that the server has closed.
func (l *loader) connect(conn *connection, index int) (err error) {
	if conn.fd >= 0 {
		_ = unix.Close(conn.fd) // it is of no use any more
	}
	if conn.fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err := unix.Connect(conn.fd, l.address); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := unix.SetNonblock(conn.fd, true); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := unix.SetsockoptInt(conn.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fmt.Errorf("setsockopt: %w", err)
	}
	conn.n = 0
	return l.watch(conn.fd, index)
}

func (l *loader) close() {
	for _, conn := range l.conns {
		if conn.fd >= 0 {
			_ = unix.Close(conn.fd)
		}
	}
	for _, fd := range []int{l.timer, l.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// run does the work on a thread of its own and closes everything.
func (l *loader) run(ctx context.Context) (*burst, error) {
	defer l.close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	l.begun = time.Now()
	events := make([]unix.EpollEvent, 64)
	for lastAnswer := l.begun; ; {
		if err := l.send(); err != nil {
			return nil, err
		}
		if l.busy == 0 && l.over(time.Now()) {
			l.found.elapsed = time.Since(l.begun)
			return &l.found, nil
		}
		n, err := unix.EpollWait(l.epoll, events, 100)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("epoll_wait: %w", err)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		for _, e := range events[:max(n, 0)] {
			if e.Fd == timerIndex {
				var expirations [8]byte
				_, _ = unix.Read(l.timer, expirations[:]) // which makes it wait again
				continue
			}
			if err := l.receive(int(e.Fd)); err != nil {
				return nil, err
			}
			lastAnswer = time.Now()
		}
		if time.Since(lastAnswer) > answerTimeout && l.busy > 0 {
			return nil, fmt.Errorf("no answer within %s", answerTimeout)
		}
	}
}

// over says that nothing more is to be sent.
func (l *loader) over(now time.Time) bool {
	if l.work.requests > 0 {
		return l.sent >= l.work.requests
	}
	if l.work.rate > 0 {
		return l.sent >= int(l.work.rate*l.work.duration.Seconds())
	}
	return now.Sub(l.begun) >= l.work.duration
}

// send sends what is due on connections that are idle.
func (l *loader) send() error {
	for len(l.idle) > 0 {
		now := time.Now()
		if l.over(now) {
			return nil
		}
		due := now
		if l.work.rate > 0 {
			due = l.begun.Add(time.Duration(float64(l.sent) / l.work.rate * float64(time.Second)))
			if wait := due.Sub(now); wait > 0 {
				return l.wakeIn(wait)
			}
		}
		conn := l.idle[len(l.idle)-1]
		l.idle = l.idle[:len(l.idle)-1]
		conn.due, conn.n = due, 0
		l.sent++
		l.busy++
		// A server may have closed the connection, which the event says.
		if n, err := unix.Write(conn.fd, l.request); err == nil && n != len(l.request) {
			return errors.New("a request did not fit into a socket")
		}
	}
	return nil
}

func (l *loader) wakeIn(d time.Duration) error {
	spec := &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}
	if err := unix.TimerfdSettime(l.timer, 0, spec, nil); err != nil {
		return fmt.Errorf("timerfd_settime: %w", err)
	}
	return nil
}

// receive reads what has come on a connection.
func (l *loader) receive(index int) error {
	conn := l.conns[index]
	n, err := unix.Read(conn.fd, conn.buffer[conn.n:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil || n == 0 {
		if err == nil {
			err = net.ErrClosed
		}
		if !conn.due.IsZero() {
			l.fail(conn, fmt.Errorf("the server closed the connection: %w", err))
		}
		return l.connect(conn, index)
	}
	if conn.due.IsZero() { // what nobody asked for: the connection can't be trusted
		return l.connect(conn, index)
	}
	conn.n += n
	a, ok := parse(conn.buffer[:conn.n])
	if !ok {
		return nil
	}
	if err := a.err(); err != nil {
		l.fail(conn, err)
		return nil
	}
	l.found.latencies = append(l.found.latencies, time.Since(conn.due))
	if l.work.timing {
		l.found.timings = append(l.found.timings, a.timing)
	}
	l.done(conn)
	return nil
}

func (l *loader) fail(conn *connection, err error) {
	if l.found.failures == 0 {
		l.found.fault = err
	}
	l.found.failures++
	l.done(conn)
}

func (l *loader) done(conn *connection) {
	conn.due = time.Time{}
	l.busy--
	l.idle = append(l.idle, conn)
}
