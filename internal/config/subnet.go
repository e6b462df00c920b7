package config

import (
	"fmt"
	"net/netip"
)

// Subnet is an IPv4 network, or the zero prefix to have one chosen.
type Subnet struct{ netip.Prefix }

// auto is how the zero [Subnet] is written.
const auto = "auto"

// UnmarshalText reads a network in CIDR form, or auto.
func (s *Subnet) UnmarshalText(text []byte) error {
	if string(text) == auto {
		*s = Subnet{}
		return nil
	}
	p, err := netip.ParsePrefix(string(text))
	switch {
	case err != nil || !p.Addr().Is4() || p.Bits() < 8 || p.Bits() > 22:
		return fmt.Errorf("%q is not usable: write an IPv4 network of /8 to /22, such as 10.213.0.0/16, or auto", text)
	case p != p.Masked():
		return fmt.Errorf("%s has bits beyond its prefix: write %s", p, p.Masked())
	}
	*s = Subnet{p}
	return nil
}

func (s Subnet) String() string {
	if !s.IsValid() {
		return auto
	}
	return s.Prefix.String()
}
