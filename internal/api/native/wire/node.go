package wire

import "time"

// Node describes the node that answers.
type Node struct {
	Version       string    `json:"version" doc:"The version of mayfly"`
	Started       time.Time `json:"started"`
	UptimeSeconds float64   `json:"uptimeSeconds"`
	Region        string    `json:"region"`
	Gateway       string    `json:"gateway" doc:"Address of the data plane, such as http://127.0.0.1:8080"`
	// Driver isolates execution environments: linux or none.
	Driver  string     `json:"driver" doc:"What isolates execution environments: linux or none"`
	Gaps    []Gap      `json:"gaps" nullable:"false" doc:"What the driver can't enforce on this machine"`
	Limits  NodeLimits `json:"limits"`
	Running NodeLoad   `json:"running"`
}

// Gap is a protection that is missing.
type Gap struct {
	What string `json:"what"`
	Why  string `json:"why"`
	Fix  string `json:"fix,omitempty" doc:"What the owner of the machine can do about it"`
}

// NodeLimits bounds what the node runs at the same time.
type NodeLimits struct {
	Concurrency             int `json:"concurrency" doc:"Invocations"`
	EnvironmentsPerFunction int `json:"environmentsPerFunction" doc:"0: no bound of its own"`
	// QueuePerFunction bounds the invocations that wait for an environment.
	QueuePerFunction int `json:"queuePerFunction" doc:"Invocations of one function that may wait"`
	// MemoryMB bounds the environments' memory together.
	MemoryMB int64 `json:"memoryMB" doc:"Memory of all environments"`
}

// NodeLoad is what the node runs now.
type NodeLoad struct {
	Invocations  int   `json:"invocations"`
	Waiting      int   `json:"waiting" doc:"Invocations that wait for an environment"`
	Environments int   `json:"environments"`
	Idle         int   `json:"idle" doc:"Environments that serve nothing"`
	Frozen       int   `json:"frozen" doc:"Idle environments whose processes are stopped"`
	Starting     int   `json:"starting" doc:"Environments that are being started or wait for their turn"`
	Stems        int   `json:"stems" doc:"Started runtimes that belong to no function yet"`
	MemoryMB     int64 `json:"memoryMB" doc:"Memory set aside for environments"`
}

// Interpreter is a program on the node's machine that runs functions.
type Interpreter struct {
	Family  string `json:"family"`
	Version string `json:"version"`
	Path    string `json:"path"`
}

// Runtime is a runtime identifier and what serves it on the node.
type Runtime struct {
	Identifier string `json:"identifier" example:"nodejs22.x"`
	Available  bool   `json:"available"`
	Family     string `json:"family,omitempty"`
	// Interpreter is nil if there is none, or if the function brings its own
	// bootstrap.
	Interpreter *Interpreter `json:"interpreter,omitempty"`
	// Warning is set if another version than the named one serves.
	Warning string `json:"warning,omitempty" doc:"Set if another version than the named one serves"`
	// Missing says what to install.
	Missing string `json:"missing,omitempty" doc:"Why it is not available and what to install"`
}

// RuntimeList lists the runtime identifiers and the interpreters that were found.
type RuntimeList struct {
	Runtimes     []Runtime     `json:"runtimes" nullable:"false"`
	Interpreters []Interpreter `json:"interpreters" nullable:"false"`
}
