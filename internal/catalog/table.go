package catalog

import (
	"hash/maphash"
	"maps"
	"sync/atomic"
)

// shardCount keeps the part of a table that a write copies small.
const shardCount = 256

// table is a map that is read without locks. Each shard is a map that nobody
// changes; the one writer replaces it by a changed copy.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards [shardCount]atomic.Pointer[map[K]V]
}

func newTable[K comparable, V any]() *table[K, V] {
	t := &table[K, V]{seed: maphash.MakeSeed()}
	for i := range t.shards {
		t.shards[i].Store(&map[K]V{})
	}
	return t
}

func (t *table[K, V]) shard(k K) *atomic.Pointer[map[K]V] {
	return &t.shards[maphash.Comparable(t.seed, k)%shardCount]
}

func (t *table[K, V]) load(k K) (V, bool) {
	v, ok := (*t.shard(k).Load())[k]
	return v, ok
}

func (t *table[K, V]) store(k K, v V) {
	s := t.shard(k)
	m := maps.Clone(*s.Load())
	m[k] = v
	s.Store(&m)
}

func (t *table[K, V]) remove(k K) {
	s := t.shard(k)
	m := maps.Clone(*s.Load())
	delete(m, k)
	s.Store(&m)
}

// values calls yield with every value until it returns false.
func (t *table[K, V]) values(yield func(V) bool) {
	for i := range t.shards {
		for _, v := range *t.shards[i].Load() {
			if !yield(v) {
				return
			}
		}
	}
}
