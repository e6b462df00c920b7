package egress

import (
	"fmt"
	"sync"
)

// policies shares one group among all sandboxes that have the same allow list.
type policies struct {
	rules *rules

	mu    sync.Mutex
	byKey map[string]*policy
	next  uint32
	spare []uint32 // groups that were used and are free again
}

// policy is one allow list in use.
type policy struct {
	key   string
	group uint32
	refs  int
}

func newPolicies(r *rules) *policies {
	return &policies{rules: r, byKey: map[string]*policy{}, next: groupAllow}
}

// take returns the policy of an allow list, installed; give returns it.
func (p *policies) take(spans []span) (*policy, error) {
	key := fmt.Sprint(spans)
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.byKey[key]; found != nil {
		found.refs++
		return found, nil
	}
	group := p.next
	if n := len(p.spare); n > 0 {
		group, p.spare = p.spare[n-1], p.spare[:n-1]
	} else {
		p.next++
	}
	if err := p.rules.addAllow(group, spans); err != nil {
		p.spare = append(p.spare, group)
		return nil, err
	}
	made := &policy{key: key, group: group, refs: 1}
	p.byKey[key] = made
	return made, nil
}

// give returns a policy and removes it with its last user, whose wire must have
// left the group before.
func (p *policies) give(used *policy) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if used.refs--; used.refs > 0 {
		return nil
	}
	delete(p.byKey, used.key)
	if err := p.rules.removeAllow(used.group); err != nil {
		return err // the group stays out of use: its rules are still there
	}
	p.spare = append(p.spare, used.group)
	return nil
}
