// Package egress_test runs a whole node in a lab and has functions try to reach
// what they should and what they should not.
package egress_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/config"
	"mayfly.dev/mayfly/internal/server"
	"mayfly.dev/mayfly/test/netlab"
)

func TestMain(m *testing.M) {
	netlab.Enter()
	os.Exit(m.Run())
}

// The programs of the functions call each target and return what happened.
const (
	python = `
import socket

def attempt(network, host, port):
    kind = socket.SOCK_DGRAM if network == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(5)
        s.connect((host, port))
        s.send(b"hello")
        return "answered" if s.recv(64) else "closed"

def handler(event, context):
    result = {}
    for network, host, port in event:
        try:
            outcome = attempt(network, host, port)
        except OSError as e:
            outcome = "failed: " + str(e)
        result["%s %s:%d" % (network, host, port)] = outcome
    return result
`
	node = `
const net = require('node:net');
const dgram = require('node:dgram');

function stream(host, port, done) {
  const s = net.connect({ host, port, timeout: 5000 }, () => s.write('hello'));
  s.on('data', () => { done('answered'); s.destroy(); });
  s.on('timeout', () => { done('failed: timeout'); s.destroy(); });
  s.on('error', (e) => done('failed: ' + e.message));
  s.on('close', () => done('closed'));
}

function datagram(host, port, done) {
  const s = dgram.createSocket('udp4');
  const timer = setTimeout(() => end('failed: timeout'), 5000);
  const end = (outcome) => { clearTimeout(timer); done(outcome); s.close(); };
  s.on('message', () => end('answered'));
  s.on('error', (e) => end('failed: ' + e.message));
  s.connect(port, host, (e) => (e ? end('failed: ' + e.message) : s.send('hello')));
}

exports.handler = async (event) => {
  const result = {};
  for (const [network, host, port] of event) {
    const attempt = network === 'udp' ? datagram : stream;
    result[network + ' ' + host + ':' + port] = await new Promise((done) => attempt(host, port, done));
  }
  return result;
};
`
)

// startNode runs a node with both planes on every address of the lab's
// namespace, and returns a client of it.
func startNode(t *testing.T) *client.Client {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	loaded, err := config.Load(config.Sources{Environ: []string{
		"MAYFLY_DATA_DIR=" + dir, "MAYFLY_CONTROL=0.0.0.0:9000", "MAYFLY_GATEWAY=0.0.0.0:8080", "MAYFLY_SANDBOX=linux",
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, loaded.Config, server.Options{
			Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Ready: func(i server.Info) { ready <- i },
		})
	}()
	t.Cleanup(stop)
	select {
	case err := <-ended:
		t.Fatalf("the node ended: %v", err)
	case info := <-ready:
		for _, g := range info.Gaps {
			t.Logf("gap: %s %s", g.What, g.Why)
		}
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the node ended: %v", err)
		}
	})
	keys, err := auth.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{Endpoint: "http://127.0.0.1:9000", Token: keys.Default().Token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deploy(t *testing.T, c *client.Client, name string, settings wire.Settings, file, program string) {
	t.Helper()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	w, err := z.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(program)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	code, err := c.PutCode(t.Context(), &archive, int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	settings.TimeoutSeconds = 300
	if _, _, err := c.PutFunction(t.Context(), name, wire.FunctionSpec{Settings: settings, Code: &code}, client.PutOptions{}); err != nil {
		t.Fatalf("deploy %s: %v", name, err)
	}
}

type target struct {
	network, host string
	port          int
}

func (t target) MarshalJSON() ([]byte, error) { return json.Marshal([]any{t.network, t.host, t.port}) }

// attempts are all that a function tries: what the lab has outside, and the
// node at each of its addresses.
func attempts() []target {
	const port = 7007
	hosts := append([]string{netlab.PublicAddress, netlab.PublicAddress2, netlab.MetadataAddress}, netlab.PrivateAddresses...)
	var list []target
	for _, h := range hosts {
		list = append(list, target{"tcp", h, port}, target{"udp", h, port})
	}
	for _, h := range []string{"127.0.0.1", netlab.NodePublic, netlab.NodePrivate, "169.254.169.1"} {
		list = append(list, target{"tcp", h, 9000}, target{"tcp", h, 8080}, target{"tcp", h, port}, target{"udp", h, port})
	}
	return list
}

func TestFunctionsReachWhatTheirPolicyPermits(t *testing.T) {
	lab := netlab.New(t)
	var visits atomic.Int32
	netlab.Answer(t, "0.0.0.0:"+netlab.Port, func(netip.AddrPort) { visits.Add(1) })
	c := startNode(t)
	answers := func(hosts ...string) (list []string) {
		for _, h := range hosts {
			list = append(list, "tcp "+h+":7007", "udp "+h+":7007")
		}
		slices.Sort(list)
		return list
	}
	languages := map[string]struct{ runtime, file, handler, program string }{
		"python": {"python3.10", "app.py", "app.handler", python},
		"node":   {"nodejs18.x", "index.js", "index.handler", node},
	}
	policies := map[string]struct {
		egress *wire.Egress
		want   []string
	}{
		"default": {nil, answers(netlab.PublicAddress, netlab.PublicAddress2)},
		"none":    {&wire.Egress{Mode: "none"}, nil},
		"allow": {
			&wire.Egress{Mode: "allow", Allow: []string{"10.20.30.0/24", netlab.PublicAddress2 + "/32", "169.254.0.0/16"}},
			answers(netlab.PrivateAddress, netlab.PublicAddress2),
		},
	}
	payload, err := json.Marshal(attempts())
	if err != nil {
		t.Fatal(err)
	}
	for language, l := range languages {
		for policy, p := range policies {
			t.Run(language+" "+policy, func(t *testing.T) {
				name := fmt.Sprintf("%s-%s", language, policy)
				deploy(t, c, name, wire.Settings{Runtime: l.runtime, Handler: l.handler, Egress: p.egress}, l.file, l.program)
				result, err := c.Invoke(t.Context(), name, payload, client.InvokeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var outcomes map[string]string
				if err := json.Unmarshal(result.Payload, &outcomes); err != nil || len(outcomes) != len(attempts()) {
					t.Fatalf("the function returned %s: %v", result.Payload, err)
				}
				var got []string
				for _, attempt := range slices.Sorted(maps.Keys(outcomes)) {
					if outcomes[attempt] == "answered" {
						got = append(got, attempt)
					} else if strings.Contains(outcomes[attempt], "time") {
						t.Errorf("%s: %s, want a refusal at once", attempt, outcomes[attempt])
					}
				}
				if !slices.Equal(got, p.want) {
					t.Errorf("answered %v, want %v", got, p.want)
				}
			})
		}
	}
	if n := visits.Load(); n > 0 {
		t.Errorf("the node was reached %d times, want 0", n)
	}
	if v := lab.Metadata.Visits(); len(v) > 0 {
		t.Errorf("the metadata host was reached from %v, want nobody", v)
	}
	for _, v := range slices.Concat(lab.Public.Visits(), lab.Private.Visits()) {
		if a := v.Addr().String(); a != netlab.NodePublic && a != netlab.NodePrivate {
			t.Errorf("a visit came from %s, want the node's address", a)
		}
	}
}
