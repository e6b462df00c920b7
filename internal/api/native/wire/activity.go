package wire

import "time"

// The headers of an invocation.
const (
	// HeaderRequestID names the call in every answer of the API. An invocation's
	// is the id that logs and records carry.
	HeaderRequestID = "Mayfly-Request-Id"
	// HeaderLogTail asks for the end of the call's log with the value "true", and
	// carries it back in base64.
	HeaderLogTail = "Mayfly-Log-Tail"
	// HeaderClientContext carries the client context: JSON in base64.
	HeaderClientContext = "Mayfly-Client-Context"
	// HeaderFunctionError is Handled or Unhandled when the function failed.
	HeaderFunctionError = "Mayfly-Function-Error"
	// HeaderErrorType is the failure's type, such as Sandbox.Timedout.
	HeaderErrorType = "Mayfly-Error-Type"
	// HeaderExecutedVersion is the version that ran.
	HeaderExecutedVersion = "Mayfly-Executed-Version"
	// HeaderColdStart is true if the call waited for an init phase.
	HeaderColdStart = "Mayfly-Cold-Start"
	// HeaderColdStartReason says why no environment was there.
	HeaderColdStartReason = "Mayfly-Cold-Start-Reason"
	// HeaderQueue is the wait for an environment without the phases of its start,
	// HeaderDuration the time in user code, HeaderBilled what is billed; in
	// milliseconds.
	HeaderQueue    = "Mayfly-Queue-Ms"
	HeaderDuration = "Mayfly-Duration-Ms"
	HeaderBilled   = "Mayfly-Billed-Ms"
	// The phases of the start that the call waited for, in milliseconds.
	HeaderSandbox = "Mayfly-Sandbox-Ms"
	HeaderRuntime = "Mayfly-Runtime-Ms"
	HeaderLoad    = "Mayfly-Load-Ms"
	HeaderInit    = "Mayfly-Init-Ms"
	// HeaderServerTiming carries the phases in the form of W3C Server Timing, if
	// [invocation.TimingRequestHeader] asked for it.
	HeaderServerTiming = "Server-Timing"
)

// Line is one line of a function's log.
type Line struct {
	Time        time.Time `json:"time"`
	RequestID   string    `json:"requestId,omitempty" doc:"The invocation that wrote it, if that is known"`
	Environment string    `json:"environment,omitempty"`
	Stream      string    `json:"stream" doc:"stdout, stderr, or platform for the lines about the invocation"`
	Text        string    `json:"text"`
	// Cursor continues after this line.
	Cursor string `json:"cursor" doc:"Pass it as after to continue behind this line"`
}

// LogPage is a part of a function's log, oldest line first.
type LogPage struct {
	Lines []Line `json:"lines" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"Pass it as after to continue; absent when there is no more"`
}

// Record is what is known of one finished invocation.
type Record struct {
	RequestID       string    `json:"requestId"`
	Namespace       string    `json:"namespace"`
	Function        string    `json:"function"`
	Version         string    `json:"version"`
	Revision        string    `json:"revision"`
	Environment     string    `json:"environment,omitempty" doc:"The environment that ran it; absent if none did"`
	Trigger         string    `json:"trigger" doc:"What caused it: api, url, ..."`
	Received        time.Time `json:"received"`
	Outcome         string    `json:"outcome" enum:"ok,error,timeout,throttled,fault" doc:"error and timeout are the function's failures, throttled and fault the platform's"`
	ErrorType       string    `json:"errorType,omitempty"`
	ErrorMessage    string    `json:"errorMessage,omitempty" doc:"The first 1024 bytes of the failure's message"`
	ColdStart       bool      `json:"coldStart"`
	ColdStartReason string    `json:"coldStartReason,omitempty" doc:"Why no environment was there: first call, scale-out, expired, evicted, updated or crashed"`
	QueueMs         float64   `json:"queueMs" doc:"Wait for an environment, without the phases of its start"`
	SandboxMs       float64   `json:"sandboxMs" doc:"Making the sandbox, or binding a started one to the function; 0 on a warm call"`
	RuntimeMs       float64   `json:"runtimeMs" doc:"Start of the interpreter; 0 if it had started before"`
	LoadMs          float64   `json:"loadMs" doc:"Fetching the code package; 0 on a warm call"`
	InitMs          float64   `json:"initMs" doc:"Init phase of the function's code; 0 on a warm call"`
	DurationMs      float64   `json:"durationMs" doc:"User code alone"`
	BilledMs        float64   `json:"billedMs"`
	CPUMs           float64   `json:"cpuMs"`
	MemoryMB        int       `json:"memoryMB"`
	PeakMemoryBytes int64     `json:"peakMemoryBytes"`
	RequestBytes    int       `json:"requestBytes"`
	ResponseBytes   int       `json:"responseBytes"`
	TraceID         string    `json:"traceId,omitempty"`
}

// RecordPage is one page of records, newest first.
type RecordPage struct {
	Invocations []Record `json:"invocations" nullable:"false"`
	Next        string   `json:"next,omitempty" doc:"Pass it as after to get older ones; absent on the last page"`
}

// Environment is a live execution environment.
type Environment struct {
	ID          string    `json:"id"`
	Version     string    `json:"version"`
	Revision    string    `json:"revision"`
	State       string    `json:"state" enum:"starting,stem,idle,busy,frozen,draining,gone" doc:"frozen: idle, and its processes are stopped; draining: ends with the invocations that it runs"`
	Started     time.Time `json:"started"`
	Invocations int       `json:"invocations" doc:"Calls that it has served"`
	MemoryMB    int       `json:"memoryMB" doc:"Memory that its function may use"`
}

// EnvironmentList lists the live environments of a function, oldest first.
type EnvironmentList struct {
	Environments []Environment `json:"environments" nullable:"false"`
}
