package invocation

import "time"

// The outcomes of a recorded call.
const (
	OutcomeOK        = "ok"
	OutcomeError     = "error"     // the function failed
	OutcomeTimeout   = "timeout"   // the function ran out of time
	OutcomeThrottled = "throttled" // refused for lack of concurrency
	OutcomeFault     = "fault"     // the platform failed
)

// The reasons of cold starts: why no environment was there.
const (
	ReasonFirst    = "first call" // of the function since the node's start
	ReasonScaleOut = "scale-out"  // all were busy
	ReasonExpired  = "expired"    // the last one's idle time was over
	ReasonEvicted  = "evicted"    // the last one had to make room
	ReasonUpdated  = "updated"    // the version or its settings are new
	ReasonCrashed  = "crashed"    // the last one ended with a call: timeout, exit, out of memory
)

// Record is the one wide event of a call.
type Record struct {
	RequestID   string    `json:"requestId"`
	Namespace   string    `json:"namespace"`
	Function    string    `json:"function"`
	Version     string    `json:"version"`
	Revision    string    `json:"revision"`
	Environment string    `json:"environment,omitempty"`
	Trigger     string    `json:"trigger"`
	Received    time.Time `json:"received"`
	// Began is when an execution environment took the call; zero if none did.
	Began time.Time `json:"began,omitzero"`
	// StartWritten says that the call's START line is in the log already, before
	// the first that user code wrote. See [Record.Reported].
	StartWritten bool   `json:"startWritten,omitempty"`
	Outcome      string `json:"outcome"`
	ErrorType    string `json:"errorType,omitempty"`
	// ErrorMessage is the first 1,024 bytes of the failure's message.
	ErrorMessage string `json:"errorMessage,omitempty"`
	ColdStart    bool   `json:"coldStart"`
	// InitFailed says that the init phase failed and the call with it: there was
	// no handler, and Duration is zero.
	InitFailed bool `json:"initFailed,omitempty"`
	// ColdStartReason is one of the Reason constants; empty on a warm call.
	ColdStartReason string `json:"coldStartReason,omitempty"`
	// The phases of the call, which follow each other. Queue is the wait for an
	// environment, without the phases of its start. The following are zero on a
	// warm call: Sandbox is the making of the sandbox, or its binding to the
	// version; Runtime the start of the interpreter, zero if it had started before;
	// Load the fetching of the code package; Init user code's init phase. Duration
	// is the handler alone.
	Queue    time.Duration `json:"queueNs"`
	Sandbox  time.Duration `json:"sandboxNs"`
	Runtime  time.Duration `json:"runtimeNs"`
	Load     time.Duration `json:"loadNs"`
	Init     time.Duration `json:"initNs"`
	Duration time.Duration `json:"durationNs"`
	// Billed is Duration rounded up to whole milliseconds, with Init added to
	// the call that waited for it.
	Billed time.Duration `json:"billedNs"`
	CPU    time.Duration `json:"cpuNs"`
	// Delay is how long in the call the function's process waited for a processor.
	Delay           time.Duration `json:"delayNs,omitempty"`
	MemoryMB        int           `json:"memoryMB"`
	PeakMemoryBytes int64         `json:"peakMemoryBytes"`
	RequestBytes    int           `json:"requestBytes"`
	ResponseBytes   int           `json:"responseBytes"`
	TraceID         string        `json:"traceId,omitempty"`
}
