package egress

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// block makes the server's sockets deaf until unblock: what is sent to them before
// is lost and not kept to be answered later.
func (s *nameServer) block() error {
	nothing := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	err := s.control(func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(nothing)), Filter: &nothing[0]})
	})
	if err != nil {
		return fmt.Errorf("close the ears of a name server: %w", err)
	}
	return nil
}

func (s *nameServer) unblock() error {
	err := s.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	})
	if err != nil {
		return fmt.Errorf("open the ears of a name server: %w", err)
	}
	return nil
}

// control does the same to both sockets.
func (s *nameServer) control(do func(fd int) error) error {
	for _, socket := range []any{s.packets, s.streams} {
		c, ok := socket.(syscall.Conn)
		if !ok {
			return errors.ErrUnsupported
		}
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		if ctl := raw.Control(func(fd uintptr) { err = do(int(fd)) }); ctl != nil {
			return ctl
		}
		if err != nil {
			return err
		}
	}
	return nil
}
