package lambda

import (
	"encoding/base64"
	"encoding/hex"
	"time"

	"mayfly.dev/mayfly/internal/function"
)

// modifiedFormat is how the API writes the time of a change.
const modifiedFormat = "2006-01-02T15:04:05.000-0700"

// functionConfiguration is a version as the API shows it.
type functionConfiguration struct {
	FunctionName               string
	FunctionArn                string
	Runtime                    string `json:",omitempty"`
	Role                       string
	Handler                    string `json:",omitempty"`
	CodeSize                   int64
	Description                string
	Timeout                    int // seconds
	MemorySize                 int // MB
	LastModified               string
	CodeSha256                 string
	Version                    string
	Environment                *environment `json:",omitempty"`
	TracingConfig              tracingConfig
	RevisionID                 string `json:"RevisionId"`
	State                      string `json:",omitempty"`
	StateReason                string `json:",omitempty"`
	StateReasonCode            string `json:",omitempty"`
	LastUpdateStatus           string `json:",omitempty"`
	LastUpdateStatusReason     string `json:",omitempty"`
	LastUpdateStatusReasonCode string `json:",omitempty"`
	PackageType                string
	Architectures              []string
	EphemeralStorage           ephemeralStorage
	SnapStart                  snapStart
	LoggingConfig              loggingConfig
}

type environment struct {
	Variables map[string]string
}

type tracingConfig struct {
	Mode *string `json:",omitempty"`
}

type ephemeralStorage struct {
	Size *int // MB
}

type snapStart struct {
	ApplyOn            string
	OptimizationStatus string
}

type loggingConfig struct {
	LogFormat           *string `json:",omitempty"`
	LogGroup            *string `json:",omitempty"`
	ApplicationLogLevel *string `json:",omitempty"`
	SystemLogLevel      *string `json:",omitempty"`
}

// configuration shows what the user configured last: while an update is being
// prepared that is the update, whatever invocations still run.
func (s *Service) configuration(c *call, f *function.Function, qualifier string) functionConfiguration {
	v := f.Newest()
	logGroup := v.LogGroup
	if logGroup == "" {
		logGroup = "/aws/lambda/" + f.Name
	}
	shown := functionConfiguration{
		FunctionName:     f.Name,
		FunctionArn:      s.arn(c, f.Name, qualifier),
		Runtime:          v.Runtime,
		Role:             v.Role,
		Handler:          v.Handler,
		CodeSize:         v.Code.SizeBytes,
		Description:      v.Description,
		Timeout:          int(v.Timeout / time.Second),
		MemorySize:       v.MemoryMB,
		LastModified:     v.Modified.UTC().Format(modifiedFormat),
		CodeSha256:       base64Digest(v.Code.SHA256),
		Version:          function.Latest,
		TracingConfig:    tracingConfig{Mode: &v.TracingMode},
		RevisionID:       v.Revision,
		PackageType:      "Zip",
		Architectures:    []string{v.Architecture},
		EphemeralStorage: ephemeralStorage{Size: &v.EphemeralMB},
		SnapStart:        snapStart{ApplyOn: "None", OptimizationStatus: "Off"},
		LoggingConfig:    loggingConfig{LogFormat: &v.LogFormat, LogGroup: &logGroup},
	}
	if len(v.Env) > 0 {
		shown.Environment = &environment{Variables: v.Env}
	}
	shown.status(f)
	return shown
}

// status says whether the function can be invoked and how its last update went,
// in the words that the SDKs' waiters look for.
func (c *functionConfiguration) status(f *function.Function) {
	const creating, creatingReason = "Creating", "The function is being created."
	c.State = string(f.State)
	switch f.State {
	case function.Pending:
		c.StateReason, c.StateReasonCode = creatingReason, creating
		return
	case function.Failed:
		c.StateReason, c.StateReasonCode = f.StateReason, "InternalError"
	case function.Active:
	}
	switch {
	case f.Next != nil:
		c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "InProgress", creatingReason, creating
	case f.UpdateFailure != "":
		c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateStatusReasonCode = "Failed", f.UpdateFailure, "InternalError"
	case f.State == function.Active:
		c.LastUpdateStatus = "Successful"
	}
}

// base64Digest returns a hexadecimal digest as this API spells it.
func base64Digest(hexadecimal string) string {
	raw, err := hex.DecodeString(hexadecimal)
	if err != nil { // digests are made by the catalog
		return hexadecimal
	}
	return base64.StdEncoding.EncodeToString(raw)
}
