package sandbox

import "context"

// Forker is a sandbox whose first process has a child that can be copied: what
// it has loaded need not be loaded again.
type Forker interface {
	// Forkable says what is in the way of copies of the child now: a fault of the
	// kind Unsupported, with the reason "NotForkable" if it is something that the
	// child does. It takes milliseconds.
	Forkable() error
	// Fork makes a sandbox as [Driver.Create] does, and in it a copy of the child,
	// which is the sandbox's first process and goes on where the child forked. It
	// has the child's user, open files and limits on them, and what is mounted in
	// s; for itself it has all else that spec says, an empty /tmp, a network and
	// limits included. Mounts and OpenFiles are not looked at. An error leaves
	// nothing behind. When s is destroyed, the processes of its copies end.
	Fork(ctx context.Context, spec Spec, f Forking) (Sandbox, Process, error)
}

// Forking is what a process does for its copy.
type Forking struct {
	// Ask has the process call fork. It is called once.
	Ask func() error
	// Reap has it wait for its copy, which has ended, so that nothing of that is
	// left; there may have been none. It is called once if Ask was, and must not
	// block for long.
	Reap func()
}
