package sim

import "sync"

// progress sums what several runs have done.
type progress struct {
	tell func(float64)

	mu   sync.Mutex
	done int // slices of all runs
	all  int
}

func newProgress(runs int, tell func(float64)) *progress {
	return &progress{tell: tell, all: runs * progressSlices}
}

// slice counts one slice of one run.
func (p *progress) slice() {
	if p.tell == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.tell(float64(p.done) / float64(p.all))
}
