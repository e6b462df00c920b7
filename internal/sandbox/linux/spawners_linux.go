package linux

import "runtime"

// spawners are the threads that make sandbox processes. A process is killed when
// the thread that made it ends, so they live as long as the driver; and they are
// as few as there are processors, since making processes does not scale beyond.
type spawners struct {
	jobs chan func()
	done chan struct{}
}

func newSpawners() *spawners {
	n := max(1, runtime.GOMAXPROCS(0))
	sp := &spawners{jobs: make(chan func()), done: make(chan struct{}, n)}
	for range n {
		go sp.work()
	}
	return sp
}

func (sp *spawners) work() {
	// Never unlocked: the thread ends with the goroutine.
	runtime.LockOSThread()
	for job := range sp.jobs {
		job()
	}
	sp.done <- struct{}{}
}

// close ends the threads and waits for them.
func (sp *spawners) close() {
	close(sp.jobs)
	for range cap(sp.done) {
		<-sp.done
	}
}
