// Package language knows the runtime identifiers of AWS Lambda and finds the
// interpreters on this machine that can serve them. Discovery runs processes
// (`node --version`) once; resolution is a pure function of what was found.
package language

// Family is a group of runtimes that one interpreter program serves.
type Family string

// The families.
const (
	Node     Family = "nodejs"
	Python   Family = "python"
	Provided Family = "provided" // the function brings its own bootstrap
)

// Interpreter is a program on this machine that runs functions of a family.
type Interpreter struct {
	Family Family `json:"family"`
	// Version is the interpreter's own, such as "20.20.2" or "3.11.7".
	Version string `json:"version"`
	// Path is the program, free of symbolic links and version managers' shims.
	Path string `json:"path"`
	// Prefix is the directory outside /usr that must be mounted for the program
	// to run; empty: the system directories suffice.
	Prefix string `json:"prefix,omitempty"`
}

// Resolution is the answer to "what runs this runtime identifier here".
type Resolution struct {
	Runtime     string      `json:"runtime"`
	Family      Family      `json:"family"`
	Interpreter Interpreter `json:"interpreter"` // zero for Provided
	// Warning is one sentence if another version than the named one serves.
	Warning string `json:"warning,omitempty"`
}
