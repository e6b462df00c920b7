// Package autoscaler decides: how many environments a function should be
// starting, how long idle ones stay warm, which one is worth least when memory
// runs short, and how many stem environments a runtime should have ready.
//
// Everything here is a function of its arguments or a small value that its owner
// locks: there is no clock, no goroutine, no I/O and no allocation, so that the
// node's pool and the simulator use the same code. Carrying decisions out is the
// pool's task.
package autoscaler
