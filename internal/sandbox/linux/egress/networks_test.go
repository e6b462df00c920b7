package egress

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

func TestMergeJoinsRangesThatOverlapOrTouch(t *testing.T) {
	for name, c := range map[string]struct {
		networks []string
		want     [][2]string
	}{
		"none":      {nil, nil},
		"one":       {[]string{"10.0.0.0/8"}, [][2]string{{"10.0.0.0", "10.255.255.255"}}},
		"all":       {[]string{"0.0.0.0/0", "10.0.0.0/8"}, [][2]string{{"0.0.0.0", "255.255.255.255"}}},
		"twice":     {[]string{"10.0.0.1/32", "10.0.0.1/32"}, [][2]string{{"10.0.0.1", "10.0.0.1"}}},
		"touching":  {[]string{"10.0.1.0/24", "10.0.0.0/24"}, [][2]string{{"10.0.0.0", "10.0.1.255"}}},
		"apart":     {[]string{"10.0.2.0/24", "10.0.0.0/24"}, [][2]string{{"10.0.0.0", "10.0.0.255"}, {"10.0.2.0", "10.0.2.255"}}},
		"inside":    {[]string{"10.0.0.0/8", "10.1.0.0/16", "11.0.0.0/8"}, [][2]string{{"10.0.0.0", "11.255.255.255"}}},
		"last":      {[]string{"255.255.255.255/32", "255.255.255.254/32"}, [][2]string{{"255.255.255.254", "255.255.255.255"}}},
		"host bits": {[]string{"10.0.0.7/24"}, [][2]string{{"10.0.0.0", "10.0.0.255"}}},
	} {
		t.Run(name, func(t *testing.T) {
			list, err := function.Egress{Allow: c.networks}.Networks()
			if err != nil {
				t.Fatal(err)
			}
			var got [][2]string
			for _, s := range merge(list) {
				got = append(got, [2]string{address(s.first).String(), address(s.last).String()})
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("merge(%v) (-want +got):\n%s", c.networks, diff)
			}
		})
	}
}

func TestAddressesAreHandedOutInTurn(t *testing.T) {
	a := newAddresses(netip.MustParsePrefix("10.0.0.0/22"))
	seen := map[netip.Addr]bool{}
	for range 511 {
		addr, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s was handed out twice", addr)
		}
		seen[addr] = true
		a.free(addr)
	}
	held, err := a.take() // the 512th and last
	if err != nil || seen[held] {
		t.Fatalf("take() = %s, %v, want an address not used before", held, err)
	}
	for range 511 {
		if addr, err := a.take(); err != nil || addr == held {
			t.Fatalf("take() = %s, %v", addr, err)
		}
	}
	if _, err := a.take(); !fault.Is(err, fault.Unavailable, "AddressesExhausted") {
		t.Errorf("take() from an empty subnet: %v", err)
	}
	a.free(held)
	if addr, err := a.take(); err != nil || addr != held {
		t.Errorf("take() = %s, %v, want %s", addr, err, held)
	}
	near, far := a.uplink(uplinks - 1)
	if near.String() != "10.0.3.254" || far.String() != "10.0.3.255" {
		t.Errorf("the last uplink is %s and %s", near, far)
	}
}

func TestParseResolvers(t *testing.T) {
	got := parseResolvers("# written by hand\nsearch corp.example\nnameserver 127.0.0.53\n nameserver fe80::1%eth0 trust-ad\n" +
		"nameserver\nnameserver bad\nnameserver 10.0.0.2\noptions ndots:5\nnameserver 10.0.0.3\n")
	want := []string{"127.0.0.53:53", "[fe80::1%eth0]:53", "10.0.0.2:53"}
	var texts []string
	for _, r := range got {
		texts = append(texts, r.String())
	}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
