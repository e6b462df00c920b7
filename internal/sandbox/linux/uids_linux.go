package linux

import (
	"sync"

	"mayfly.dev/mayfly/internal/fault"
)

// uids hands out the user ids of sandboxes. One that was given back is reused as
// late as possible.
type uids struct {
	mu   sync.Mutex
	free []int
	// more counts the sandboxes beyond the first that have an id; missing: none.
	more map[int]int
}

func newUIDs(first, n int) *uids {
	u := &uids{free: make([]int, n), more: make(map[int]int)}
	for i := range u.free {
		u.free[i] = first + i
	}
	return u
}

func (u *uids) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.free) == 0 {
		return 0, fault.New(fault.Throttled, "SandboxIDs", "the node runs as many sandboxes as it has user ids for")
	}
	id := u.free[0]
	u.free = u.free[1:]
	return id, nil
}

// share gives an id, which a sandbox has, to one more.
func (u *uids) share(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.more[id]++
}

// give takes an id back from one of those that have it.
func (u *uids) give(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n := u.more[id]; n > 1 {
		u.more[id] = n - 1
		return
	} else if n == 1 {
		delete(u.more, id)
		return
	}
	u.free = append(u.free, id)
}
