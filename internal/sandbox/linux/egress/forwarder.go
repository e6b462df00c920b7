package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	resolvConf = "/etc/resolv.conf"
	// maxResolvers is how many name servers a resolv.conf may have, and
	// resolverPatience how long each of them is waited for.
	maxResolvers     = 3
	resolverPatience = 3 * time.Second
	// maxQueries bounds the queries of all sandboxes that wait for an answer.
	maxQueries = 512
)

// forwarder passes queries on to the host's resolvers.
type forwarder struct {
	fixed []netip.AddrPort // configured; nil: those of the host
	slots chan struct{}

	mu       sync.Mutex
	modified time.Time
	read     []netip.AddrPort
}

func newForwarder(fixed []netip.AddrPort) *forwarder {
	return &forwarder{fixed: fixed, slots: make(chan struct{}, maxQueries)}
}

// resolvers are those to ask, in order.
func (f *forwarder) resolvers() []netip.AddrPort {
	if f.fixed != nil {
		return f.fixed
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(resolvConf)
	if err != nil {
		return f.read
	}
	if !info.ModTime().Equal(f.modified) {
		if text, err := os.ReadFile(resolvConf); err == nil {
			f.read, f.modified = parseResolvers(string(text)), info.ModTime()
		}
	}
	return f.read
}

// parseResolvers reads the name servers of a resolv.conf.
func parseResolvers(text string) []netip.AddrPort {
	var list []netip.AddrPort
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(fields[1]); err == nil && len(list) < maxResolvers {
			list = append(list, netip.AddrPortFrom(a, 53))
		}
	}
	return list
}

// permitted says which resolvers an allow list lets a sandbox ask; nil: none.
func (f *forwarder) permitted(list []netip.Prefix) func(netip.Addr) bool {
	permit := func(a netip.Addr) bool { return contains(list, a.Unmap()) }
	if !slices.ContainsFunc(f.resolvers(), func(r netip.AddrPort) bool { return permit(r.Addr()) }) {
		return nil
	}
	return permit
}

// ask passes a query on by network, "udp" or "tcp", and returns the answer:
// that of the first resolver that gives one, else a failure.
func (f *forwarder) ask(ctx context.Context, network string, q query, permit func(netip.Addr) bool) []byte {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return q.answer(codeServer)
	}
	for _, r := range f.resolvers() {
		if !permit(r.Addr()) {
			continue
		}
		if reply, err := exchange(ctx, network, r, q); err == nil {
			return reply
		}
		if ctx.Err() != nil {
			break
		}
	}
	return q.answer(codeServer)
}

// exchange asks one resolver.
func exchange(ctx context.Context, network string, r netip.AddrPort, q query) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, resolverPatience)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, r.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // nothing is written that could be lost
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "tcp" {
		return exchangeStream(conn, q)
	}
	if _, err := conn.Write(q.message); err != nil {
		return nil, err
	}
	buf := make([]byte, maxMessage)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		if q.answeredBy(buf[:n]) {
			return buf[:n], nil
		}
	}
}

func exchangeStream(conn net.Conn, q query) ([]byte, error) {
	if err := writeMessage(conn, q.message); err != nil {
		return nil, err
	}
	reply, err := readMessage(conn, maxMessage)
	if err == nil && !q.answeredBy(reply) {
		err = errors.New("the resolver answered another query")
	}
	return reply, err
}

// writeMessage and readMessage are for streams, where each message has its
// length before it (RFC 1035 section 4.2.2).
func writeMessage(w io.Writer, message []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...))
	return err
}

func readMessage(r io.Reader, limit int) ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n > limit {
		return nil, errNoQuery
	}
	message := make([]byte, n)
	_, err := io.ReadFull(r, message)
	return message, err
}
