package lambda

import (
	"encoding/json"
	"time"

	"mayfly.dev/mayfly/internal/function"
)

// settingsRequest is what CreateFunction and UpdateFunctionConfiguration have
// in common. A member that is nil was not sent.
type settingsRequest struct {
	Role             *string
	Handler          *string
	Description      *string
	Timeout          *int
	MemorySize       *int
	Runtime          *string
	Environment      *environment
	TracingConfig    *tracingConfig
	EphemeralStorage *ephemeralStorage
	LoggingConfig    *loggingConfig
	SnapStart        *snapStart

	// What mayfly lacks.
	VpcConfig, DeadLetterConfig, KMSKeyArn, Layers, FileSystemConfigs json.RawMessage
	ImageConfig, CapacityProviderConfig, DurableConfig                json.RawMessage
}

// The longest timeout is ours, not AWS's.
const maxTimeoutSeconds = int(function.MaxTimeout / time.Second)

// check reports what is wrong with the members as such.
func (r *settingsRequest) check(v *violations) {
	v.pattern(r.Role, "role", roleRegexp, rolePattern)
	v.length(r.Handler, "handler", 128)
	v.pattern(r.Handler, "handler", handlerRegexp, handlerPattern)
	v.length(r.Description, "description", 256)
	v.between(r.Timeout, "timeout", 1, maxTimeoutSeconds)
	v.between(r.MemorySize, "memorySize", function.MinMemoryMB, function.MaxMemoryMB)
	if r.TracingConfig != nil {
		v.oneOf(r.TracingConfig.Mode, "tracingConfig.mode", "Active", "PassThrough")
	}
	if e := r.EphemeralStorage; e != nil {
		if e.Size == nil {
			v.add(nil, "ephemeralStorage.size", "Member must not be null")
		}
		v.between(e.Size, "ephemeralStorage.size", function.MinEphemeralMB, function.MaxEphemeralMB)
	}
	if l := r.LoggingConfig; l != nil {
		v.oneOf(l.LogFormat, "loggingConfig.logFormat", "JSON", "Text")
		v.pattern(l.LogGroup, "loggingConfig.logGroup", logGroupRegexp, logGroupPattern)
	}
	if r.SnapStart != nil {
		v.oneOf(&r.SnapStart.ApplyOn, "snapStart.applyOn", "PublishedVersions", "None")
	}
}

// supported refuses what mayfly lacks, and what it can't run here.
func (s *Service) supported(r *settingsRequest) error {
	err := absent{
		"VpcConfig": r.VpcConfig, "DeadLetterConfig": r.DeadLetterConfig, "KMSKeyArn": r.KMSKeyArn, "Layers": r.Layers,
		"FileSystemConfigs": r.FileSystemConfigs, "ImageConfig": r.ImageConfig,
		"CapacityProviderConfig": r.CapacityProviderConfig, "DurableConfig": r.DurableConfig,
	}.err()
	switch {
	case err != nil:
		return err
	case r.SnapStart != nil && r.SnapStart.ApplyOn != "None":
		return unsupported("SnapStart")
	case r.LoggingConfig != nil && r.LoggingConfig.ApplicationLogLevel != nil:
		return unsupported("LoggingConfig.ApplicationLogLevel")
	case r.LoggingConfig != nil && r.LoggingConfig.SystemLogLevel != nil:
		return unsupported("LoggingConfig.SystemLogLevel")
	case r.Runtime != nil:
		if err := s.checkRuntime(*r.Runtime); err != nil {
			return err
		}
	}
	if r.Environment != nil {
		return checkEnvironment(r.Environment.Variables)
	}
	return nil
}

// apply sets what was sent and keeps the rest.
func (r *settingsRequest) apply(s *function.Settings) {
	set(&s.Role, r.Role)
	set(&s.Handler, r.Handler)
	set(&s.Description, r.Description)
	set(&s.MemoryMB, r.MemorySize)
	set(&s.Runtime, r.Runtime)
	if r.Timeout != nil {
		s.Timeout = time.Duration(*r.Timeout) * time.Second
	}
	if r.Environment != nil {
		s.Env = r.Environment.Variables
	}
	if r.TracingConfig != nil {
		set(&s.TracingMode, r.TracingConfig.Mode)
	}
	if r.EphemeralStorage != nil {
		set(&s.EphemeralMB, r.EphemeralStorage.Size)
	}
	if r.LoggingConfig != nil {
		set(&s.LogFormat, r.LoggingConfig.LogFormat)
		set(&s.LogGroup, r.LoggingConfig.LogGroup)
	}
}

func set[T any](target, value *T) {
	if value != nil {
		*target = *value
	}
}

// checkArchitectures reports what is wrong with a list that may have one.
func checkArchitectures(list []string, v *violations) {
	v.members(list, "architectures", 1)
	if len(list) == 1 && list[0] != "x86_64" && list[0] != "arm64" {
		v.add(list, "architectures", "Member must satisfy constraint: [Member must satisfy enum value set: [x86_64, arm64]]")
	}
}
