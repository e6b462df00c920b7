package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

var regionPattern = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)

// DefaultDataDir is where a node keeps its data unless told otherwise:
// /var/lib/mayfly as root, else mayfly under the user's state directory.
func DefaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/mayfly"
	}
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "mayfly")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "mayfly")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("mayfly-%d", os.Getuid()))
}

// defaultFiles are the places where a file is looked for, the first one first.
func defaultFiles() []string {
	const system = "/etc/mayfly/mayfly.yaml"
	if dir, err := os.UserConfigDir(); err == nil && os.Geteuid() != 0 {
		return []string{filepath.Join(dir, "mayfly", "mayfly.yaml"), system}
	}
	return []string{system}
}

// initial is the text of the key's default on this machine.
func (f field) initial() string {
	if f.key == "data_dir" {
		return DefaultDataDir()
	}
	return f.def
}

// check reports what no single key can tell. Keys that could not be read have
// their earlier value here, so that one mistake is one fault.
func (c *Config) check(settings map[string]setting) (faults KeyErrors, warnings []string) {
	report := func(key, reason string, args ...any) {
		faults = append(faults, Fault{key, settings[key].origin, fmt.Sprintf(reason, args...)})
	}
	if err := checkAddress(c.Control); err != nil {
		report("control", "%s", err)
	}
	if err := checkAddress(c.Gateway); err != nil {
		report("gateway", "%s", err)
	}
	if _, port, _ := net.SplitHostPort(c.Control); c.Control == c.Gateway && port != "0" {
		report("gateway", "the control plane and the data plane can't share %s: give one of them another port", c.Control)
	}
	if !regionPattern.MatchString(c.Region) {
		report("region", "%q is not the name of a region: write it like us-east-1", c.Region)
	}
	if c.Sandbox == "none" {
		warnings = append(warnings, "the sandbox driver none isolates nothing: functions can read and change whatever this process can")
	}
	if !loopback(c.Control) {
		warnings = append(warnings, "the control plane listens beyond loopback ("+c.Control+"): keys cross the network unencrypted unless a TLS proxy stands in front")
	}
	return faults, warnings
}

func checkAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("%q is not an address: write host:port, for example 127.0.0.1:9000", address)
	}
	if host == "" {
		return fmt.Errorf("%q names no host: write 127.0.0.1:%s for this machine alone, or 0.0.0.0:%s for every interface", address, port, port)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("%q is not a port: use 0 to 65535", port)
	}
	return nil
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil || host == "localhost" {
		return true // a broken address is a fault of its own
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
