package sim

import "mayfly.dev/mayfly/internal/autoscaler"

// node is a simulated machine: memory, and what stands in it.
type node struct {
	free         int     // MB
	environments []int32 // all that take memory here
	greedy       autoscaler.GreedyDual
}

// place finds a node for a new environment: the function's home, by rendezvous
// hashing, if it has room; else the one with the most free memory; else, where
// evict allows it, the first of the two in which enough is idle. -1: there is
// none.
func (s *simulation) place(f int32, evict bool) int32 {
	need := s.trace.Functions[f].MemoryMB
	home := s.functions[f].home
	if s.nodes[home].free >= need {
		return home
	}
	widest := int32(0)
	for i := range s.nodes {
		if s.nodes[i].free > s.nodes[widest].free {
			widest = int32(i)
		}
	}
	switch {
	case s.nodes[widest].free >= need:
		return widest
	case evict && s.makeRoom(home, need):
		return home
	case evict && s.makeRoom(widest, need):
		return widest
	default:
		return -1
	}
}

// makeRoom evicts idle environments of a node until need is free. It evicts
// nothing if all of them were not enough.
func (s *simulation) makeRoom(n int32, need int) bool {
	node := &s.nodes[n]
	idle := 0
	for _, e := range node.environments {
		if s.environments[e].state == idling {
			idle += s.memoryOf(e)
		}
	}
	if node.free+idle < need {
		return false
	}
	for node.free < need {
		victim := s.victim(node)
		node.greedy = node.greedy.Evicted(s.environments[victim].priority)
		s.result.Evictions++
		s.end(victim)
	}
	return true
}

// victim chooses the idle environment that goes first. There must be one.
func (s *simulation) victim(n *node) int32 {
	best := int32(-1)
	for _, e := range n.environments {
		if s.environments[e].state == idling && (best < 0 || s.goesBefore(&s.environments[e], &s.environments[best])) {
			best = e
		}
	}
	return best
}

func (s *simulation) goesBefore(a, b *environment) bool {
	if s.policy.GreedyDual && a.priority != b.priority {
		return a.priority < b.priority
	}
	return a.idleSince < b.idleSince
}

// homeOf is the function's node by rendezvous hashing: the one that scores
// highest together with it.
func homeOf(f, nodes int) int32 {
	home, best := int32(0), uint64(0)
	for n := range nodes {
		if score := mix(uint64(f)<<32 | uint64(n)); score > best {
			home, best = int32(n), score
		}
	}
	return home
}

// mix is the finalizer of SplitMix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
