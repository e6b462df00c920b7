package egress

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// nameServerAddress is where a sandbox finds its name server. It is not
// 127.0.0.1, whose port 53 a function may want for itself.
var nameServerAddress = netip.MustParseAddrPort("127.0.0.53:53")

const (
	// sandboxQueries and sandboxStreams bound what one sandbox may have open: more
	// datagrams are lost and more connections closed.
	sandboxQueries = 32
	sandboxStreams = 8
	// streamIdle is how long a connection may stay without a query.
	streamIdle = 10 * time.Second
)

// nameServer answers the queries of one sandbox.
type nameServer struct {
	forwarder *forwarder
	packets   net.PacketConn
	streams   net.Listener

	stop context.CancelFunc // nil until serve
	wait sync.WaitGroup
}

// newNameServer opens the sockets in the network namespace of the calling
// thread. The caller closes the server.
func newNameServer(ctx context.Context, f *forwarder) (*nameServer, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // such sockets take no filter: see block
	packets, err := lc.ListenPacket(ctx, "udp4", nameServerAddress.String())
	if err != nil {
		return nil, err
	}
	streams, err := lc.Listen(ctx, "tcp4", nameServerAddress.String())
	if err != nil {
		return nil, errors.Join(err, packets.Close())
	}
	return &nameServer{forwarder: f, packets: packets, streams: streams}, nil
}

// serve begins to answer, by asking the resolvers that permit lets be asked.
// It goes on after ctx is done, until close, and is called at most once.
func (s *nameServer) serve(ctx context.Context, permit func(netip.Addr) bool) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.wait.Go(func() { s.servePackets(ctx, permit) })
	s.wait.Go(func() { s.serveStreams(ctx, permit) })
}

// close ends the server and waits for what it has under way.
func (s *nameServer) close() {
	if s.stop != nil {
		s.stop()
	}
	_, _ = s.packets.Close(), s.streams.Close() // nobody can be told, and nothing is lost
	s.wait.Wait()
}

func (s *nameServer) servePackets(ctx context.Context, permit func(netip.Addr) bool) {
	slots := make(chan struct{}, sandboxQueries)
	buf := make([]byte, maxQuerySize+1)
	for {
		n, from, err := s.packets.ReadFrom(buf)
		if err != nil {
			if !pause(ctx, err) {
				return
			}
			continue
		}
		q, code, err := parseQuery(append([]byte(nil), buf[:n]...))
		if err != nil {
			continue
		}
		if code != 0 {
			_, _ = s.packets.WriteTo(q.answer(code), from)
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		s.wait.Go(func() {
			defer func() { <-slots }()
			_, _ = s.packets.WriteTo(s.forwarder.ask(ctx, "udp", q, permit), from)
		})
	}
}

func (s *nameServer) serveStreams(ctx context.Context, permit func(netip.Addr) bool) {
	slots := make(chan struct{}, sandboxStreams)
	for {
		conn, err := s.streams.Accept()
		if err != nil {
			if !pause(ctx, err) {
				return
			}
			continue
		}
		select {
		case slots <- struct{}{}:
			s.wait.Go(func() {
				defer func() { <-slots }()
				s.serveStream(ctx, conn, permit)
			})
		default:
			_ = conn.Close()
		}
	}
}

// pause waits before a socket is tried again that failed, for lack of
// descriptors for instance; it reports false if the server is closed.
func pause(ctx context.Context, err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(retry):
		return true
	}
}

// serveStream answers the queries of one connection in turn.
func (s *nameServer) serveStream(ctx context.Context, conn net.Conn, permit func(netip.Addr) bool) {
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	for {
		if conn.SetDeadline(time.Now().Add(streamIdle)) != nil {
			return
		}
		message, err := readMessage(conn, maxQuerySize)
		if err != nil {
			return
		}
		q, code, err := parseQuery(message)
		if err != nil {
			return
		}
		reply := q.answer(code)
		if code == 0 {
			reply = s.forwarder.ask(ctx, "tcp", q, permit)
		}
		if writeMessage(conn, reply) != nil {
			return
		}
	}
}
