package egress

import "net"

// RouterDevices lists the devices of the router, for tests of what is left.
func (m *Manager) RouterDevices() (names []string, err error) {
	err = visit(m.outside.ns, m.router.ns, func() error {
		devices, err := net.Interfaces()
		for _, d := range devices {
			names = append(names, d.Name)
		}
		return err
	})
	return names, err
}

// Device is the name of the uplink.
func (m *Manager) Device() string { return m.outside.device() }

// Ready is how many namespaces wait in the pool.
func (m *Manager) Ready() int { return len(m.wired.ready) }
