// Package sandbox is the contract between the platform and what isolates user
// code. A [Driver] makes sandboxes; each of them holds one process tree, its
// private files, its network and its limits. The suite in sandboxtest says the
// same as code and every driver passes it.
package sandbox

import (
	"context"
	"net"
	"os"
	"strconv"
	"time"

	"mayfly.dev/mayfly/internal/function"
)

// Driver makes sandboxes. All methods are safe for concurrent use.
type Driver interface {
	// Name is the driver's word in configuration and records, such as "linux".
	Name() string
	// Create makes a sandbox in which nothing runs yet. An error leaves nothing
	// behind. The context bounds the making, not the sandbox's life.
	Create(ctx context.Context, spec Spec) (Sandbox, error)
	// Gaps lists what this driver can't enforce on this machine; empty: it
	// enforces all of [Spec].
	Gaps() []Gap
	// Sweep removes what earlier processes of the same data directory left
	// behind after a crash, and only that. It is called once, before Create.
	Sweep(ctx context.Context) error
	// Close frees what the driver holds. Sandboxes must be destroyed first.
	Close() error
}

// Sandbox isolates one process tree. Methods are safe for concurrent use.
type Sandbox interface {
	ID() string
	// Listen opens a TCP listener inside the sandbox's network, for example at
	// "127.0.0.1:9001". It may be called before Start. The caller closes it;
	// Destroy closes it too.
	Listen(ctx context.Context, address string) (net.Listener, error)
	// Start runs the sandbox's first process. It succeeds once: when that process
	// ends, everything in the sandbox ends, and a further call is refused. After
	// an error nothing runs and it may be called again, with another program for
	// one that is not there. The files of cmd stay the caller's, who closes them
	// after Start has returned.
	Start(ctx context.Context, cmd Command) (Process, error)
	// Usage reports what the sandbox has used since it was created.
	Usage() (Usage, error)
	// Destroy kills everything in the sandbox, waits for its end and frees all
	// that it held: processes, mounts, cgroups, network, uid. It may be called
	// twice and in every state.
	Destroy(ctx context.Context) error
}

// Limiter is a sandbox whose limits can change while it runs: more processor for
// the init phase, a function's own limits for an environment that was started
// before it was known whose it would be.
type Limiter interface {
	// Limit replaces the limits of memory and processor in the sandbox's spec.
	Limit(memoryBytes int64, milliCPU int) error
}

// Meter is a sandbox whose processor time can be read without the rest of its
// usage, which is read twice with every invocation otherwise.
type Meter interface {
	// CPU reports what [Usage] calls CPU.
	CPU() (time.Duration, error)
}

// Binder is a sandbox that was made unbound ([Spec.Unbound]): its first process
// may start before it is known whose it will be.
type Binder interface {
	// Bind gives the sandbox, whose first process runs, all that its spec left
	// open. Nothing of b could be seen inside before. It succeeds once; after an
	// error the sandbox can only be destroyed.
	Bind(ctx context.Context, b Binding) error
}

// Freezer is a sandbox whose processes can be stopped and woken.
type Freezer interface {
	// Freeze stops all processes of the sandbox, which then take no processor
	// time. It may be called in every state and twice.
	Freeze(ctx context.Context) error
	// Thaw wakes them. It is on the path of an invocation.
	Thaw() error
	// Reclaim gives the machine what memory of a frozen sandbox it can have: the
	// processes find it again, more slowly, when they are woken. It may take
	// milliseconds; a concurrent Thaw does not wait for its end.
	Reclaim(ctx context.Context) error
}

// PathMapper is a sandbox that shares the host's file system and has its mounts
// elsewhere: paths handed to its processes must be mapped.
type PathMapper interface {
	// HostPath returns where the path that [Spec] calls inside really is.
	HostPath(inside string) string
}

// Spec says what a sandbox looks like from inside and how much it may use.
type Spec struct {
	// ID names the sandbox uniquely on the node: up to 64 characters of a-z,
	// 0-9 and "-".
	ID string
	// MemoryBytes bounds memory and page cache of everything inside, /tmp
	// included.
	MemoryBytes int64
	// MilliCPU is the processor share: 1000 is one whole processor.
	MilliCPU int
	// PIDs bounds processes and threads, OpenFiles the descriptors a process.
	PIDs      int
	OpenFiles int
	// TmpBytes is the size of the private /tmp.
	TmpBytes int64
	// Mounts are read-only binds beyond the system directories: code, layers,
	// shims, interpreters outside /usr.
	Mounts []Mount
	Egress function.Egress
	// Unbound leaves /tmp, the egress policy and further mounts to
	// [Binder.Bind], without which the sandbox has neither: TmpBytes and Egress
	// are not looked at. A driver whose sandboxes can't be bound refuses with
	// Unsupported, reason "Unbound".
	Unbound bool
}

// Binding is the part of a sandbox that is a function's own, for one that was
// made unbound: see the fields of [Spec].
type Binding struct {
	MemoryBytes int64
	MilliCPU    int
	TmpBytes    int64
	// Mounts come beside those of the spec.
	Mounts []Mount
	Egress function.Egress
}

// Mount binds a directory or file of the host, read-only, into the sandbox.
type Mount struct {
	Source, Target string
}

// Command is what runs in a sandbox.
type Command struct {
	// Path is the program as seen from inside.
	Path string
	// Args are the arguments, the program's name first.
	Args []string
	// Env is the whole environment; nothing is inherited.
	Env []string
	// Dir is the working directory as seen from inside.
	Dir string
	// Stdout and Stderr receive the process's output; nil: /dev/null. Stdin is
	// always /dev/null.
	Stdout, Stderr *os.File
	// Files become descriptors 3, 4, ... of the process.
	Files []*os.File
}

// Process is the first process of a sandbox.
type Process interface {
	// PID is the process's id as the host sees it.
	PID() int
	// Done is closed when the process has ended.
	Done() <-chan struct{}
	// Exit says how it ended; it may be called after Done is closed.
	Exit() Exit
	// Signal sends a signal to the process alone; after its end it does nothing.
	Signal(sig os.Signal) error
}

// Exit says how a process ended.
type Exit struct {
	// Code is the exit status; -1 if a signal ended the process.
	Code int
	// Signal is the name that Go gives the signal that ended it, such as "killed"
	// for SIGKILL; empty if the process exited.
	Signal string
}

func (e Exit) String() string {
	if e.Signal != "" {
		return "signal: " + e.Signal
	}
	return "exit status " + strconv.Itoa(e.Code)
}

// Usage is what a sandbox has used.
type Usage struct {
	CPU time.Duration
	// Delay is how long the first process could have run and waited for a
	// processor; 0: the driver can't tell.
	Delay           time.Duration
	MemoryBytes     int64
	PeakMemoryBytes int64
	// OOMKills counts processes that the kernel killed for lack of memory.
	OOMKills int
	// PIDs is how many processes and threads there are now, those included that
	// have ended and that nobody has waited for; 0: the driver can't tell.
	PIDs int
}

// Gap is something that a driver can't enforce on this machine.
type Gap struct {
	// What is the missing protection, Why the reason, Fix what the owner of the
	// machine can do about it; each is one sentence.
	What, Why, Fix string
}
