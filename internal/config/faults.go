package config

import (
	"fmt"
	"strings"

	"mayfly.dev/mayfly/internal/fault"
)

// Fault is one thing that is wrong with the configuration.
type Fault struct {
	// Key is the key that the fault concerns, or is as written if it is unknown;
	// empty: the fault concerns a whole source.
	Key string
	// Origin is where it was set: "flag --control", "mayfly.yaml:3".
	Origin string
	// Reason says what is wrong and what to do.
	Reason string
}

func (f Fault) String() string {
	s := f.Reason
	if f.Key != "" {
		s = f.Key + ": " + s
	}
	if f.Origin != "" {
		s += " (" + f.Origin + ")"
	}
	return s
}

// KeyErrors is everything that is wrong with the configuration. It is a [fault.Error]
// of kind Invalid to those who ask for one.
type KeyErrors []Fault

func (fs KeyErrors) Error() string {
	var b strings.Builder
	b.WriteString("the configuration is not valid")
	for _, f := range fs {
		fmt.Fprintf(&b, "\n  %s", f)
	}
	return b.String()
}

// Unwrap returns the faults as a classified platform error.
func (fs KeyErrors) Unwrap() error {
	return fault.New(fault.Invalid, "Configuration", "%s", fs.Error())
}
