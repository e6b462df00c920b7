package egress_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
	"mayfly.dev/mayfly/test/netlab"
)

// resolver is a name server of the lab's private host, as a host's resolver
// mostly is at a private address. It knows every name's address, and marks
// answers over UDP as truncated if the name starts so.
var resolver = netip.MustParseAddrPort(netlab.PrivateAddress + ":53")

func serveNames(t *testing.T, lab *netlab.Lab) {
	t.Helper()
	var wait sync.WaitGroup
	err := lab.Private.Do(func() error {
		packets, err := net.ListenPacket("udp4", resolver.String())
		if err != nil {
			return err
		}
		streams, err := net.Listen("tcp4", resolver.String())
		if err != nil {
			return errors.Join(err, packets.Close())
		}
		wait.Go(func() { namesByPacket(t, packets) })
		wait.Go(func() { namesByStream(t, streams) })
		t.Cleanup(func() {
			packets.Close()
			streams.Close()
			wait.Wait()
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func namesByPacket(t *testing.T, c net.PacketConn) {
	t.Helper()
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		_, _ = c.WriteTo(resolve(t, buf[:n], true), from)
	}
}

func namesByStream(t *testing.T, l net.Listener) {
	t.Helper()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err == nil {
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, query); err == nil {
				reply := resolve(t, query, false)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}
		conn.Close()
	}
}

func resolve(t *testing.T, query []byte, packet bool) []byte {
	t.Helper()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		t.Errorf("the resolver was sent %x: %v", query, err)
		return nil
	}
	q := m.Questions[0]
	if m.OpCode != 0 || q.Type == dnsmessage.TypeAXFR {
		t.Errorf("the resolver was asked for %v, opcode %d", q.Type, m.OpCode)
	}
	m.Response, m.Additionals = true, nil
	if packet && strings.HasPrefix(q.Name.String(), "truncated") {
		m.Truncated = true
	} else if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class},
			Body:   &dnsmessage.AResource{A: netip.MustParseAddr(netlab.PublicAddress).As4()},
		}}
	}
	reply, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return reply
}

// lookup asks for a name as a program in the sandbox would.
func lookup(ctx context.Context, n *egress.Namespace, name string) ([]string, error) {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
		err = netlab.In(n.FD(), func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, "127.0.0.53:53")
			return err
		})
		return conn, err
	}}
	return r.LookupHost(ctx, name)
}

func TestNamesAreResolvedByTheHostsResolver(t *testing.T) {
	serveNames(t, netlab.New(t))
	m := newManager(t, egress.Config{Resolvers: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:1"), resolver}})
	n := acquire(t, m, internet)
	if got, want := string(n.ResolvConf()), "nameserver 127.0.0.53\n"; got != want {
		t.Errorf("ResolvConf() = %q, want %q", got, want)
	}
	for _, name := range []string{"example.test.", "truncated.example.test."} {
		got, err := lookup(t.Context(), n, name)
		if err != nil || len(got) != 1 || got[0] != netlab.PublicAddress {
			t.Errorf("lookup of %s = %v, %v, want %s", name, got, err, netlab.PublicAddress)
		}
	}
}

func TestAllowListsGetNamesIfTheyHoldAResolver(t *testing.T) {
	serveNames(t, netlab.New(t))
	m := newManager(t, egress.Config{Resolvers: []netip.AddrPort{resolver}})
	with := acquire(t, m, allow(netlab.PublicAddress+"/32", netlab.PrivateAddress+"/32"))
	if _, err := lookup(t.Context(), with, "example.test."); err != nil {
		t.Errorf("lookup with the resolver in the list: %v", err)
	}
	without := acquire(t, m, allow(netlab.PublicAddress+"/32"))
	if text := without.ResolvConf(); len(text) > 0 {
		t.Errorf("ResolvConf() = %q without a resolver in the list, want none", text)
	}
	misses(t, without, "127.0.0.53:53")
}

func TestNamesFailAtOnceWithoutAResolver(t *testing.T) {
	netlab.New(t)
	n := acquire(t, newManager(t, egress.Config{Resolvers: []netip.AddrPort{}}), internet)
	if got, err := lookup(t.Context(), n, "example.test."); err == nil {
		t.Errorf("lookup = %v, want a failure", got)
	}
}

func TestOnlyPlainQueriesArePassedOn(t *testing.T) {
	serveNames(t, netlab.New(t))
	n := acquire(t, newManager(t, egress.Config{Resolvers: []netip.AddrPort{resolver}}), internet)
	question := dnsmessage.Question{Name: dnsmessage.MustNewName("example.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	transfer := question
	transfer.Type = dnsmessage.TypeAXFR
	for name, c := range map[string]struct {
		message dnsmessage.Message
		want    dnsmessage.RCode
	}{
		"query":    {dnsmessage.Message{Questions: []dnsmessage.Question{question}}, dnsmessage.RCodeSuccess},
		"transfer": {dnsmessage.Message{Questions: []dnsmessage.Question{transfer}}, dnsmessage.RCodeRefused},
		"update":   {dnsmessage.Message{Header: dnsmessage.Header{OpCode: 5}, Questions: []dnsmessage.Question{question}}, dnsmessage.RCodeNotImplemented},
		"nothing":  {dnsmessage.Message{}, dnsmessage.RCodeFormatError},
		"two":      {dnsmessage.Message{Questions: []dnsmessage.Question{question, question}}, dnsmessage.RCodeFormatError},
	} {
		t.Run(name, func(t *testing.T) {
			c.message.ID = 4242
			packed, err := c.message.Pack()
			if err != nil {
				t.Fatal(err)
			}
			reply := make([]byte, 4096)
			err = netlab.In(n.FD(), func() error {
				conn, err := net.Dial("udp", "127.0.0.53:53")
				if err != nil {
					return err
				}
				defer conn.Close()
				if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
					return err
				}
				if _, err := conn.Write(packed); err != nil {
					return err
				}
				k, err := conn.Read(reply)
				reply = reply[:k]
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var got dnsmessage.Message
			if err := got.Unpack(reply); err != nil {
				t.Fatal(err)
			}
			if !got.Response || got.ID != 4242 || got.RCode != c.want {
				t.Errorf("reply %v, want %v", got.Header, c.want)
			}
		})
	}
}
