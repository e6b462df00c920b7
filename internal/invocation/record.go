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
	Outcome     string    `json:"outcome"`
	ErrorType   string    `json:"errorType,omitempty"`
	// ErrorMessage is the first 1,024 bytes of the failure's message.
	ErrorMessage string `json:"errorMessage,omitempty"`
	ColdStart    bool   `json:"coldStart"`
	// ColdStartReason is "first call" or "scale-out"; empty on a warm call.
	ColdStartReason string `json:"coldStartReason,omitempty"`
	// The phases of the call. Queue is the wait for an environment; Sandbox and
	// Init are zero on a warm call; Duration is user code alone.
	Queue    time.Duration `json:"queueNs"`
	Sandbox  time.Duration `json:"sandboxNs"`
	Init     time.Duration `json:"initNs"`
	Duration time.Duration `json:"durationNs"`
	// Billed is Duration rounded up to whole milliseconds, with Init added to
	// the call that waited for it.
	Billed          time.Duration `json:"billedNs"`
	CPU             time.Duration `json:"cpuNs"`
	MemoryMB        int           `json:"memoryMB"`
	PeakMemoryBytes int64         `json:"peakMemoryBytes"`
	RequestBytes    int           `json:"requestBytes"`
	ResponseBytes   int           `json:"responseBytes"`
	TraceID         string        `json:"traceId,omitempty"`
}
