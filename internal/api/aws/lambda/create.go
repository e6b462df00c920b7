package lambda

import (
	"encoding/json"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

// codeRequest is where code comes from.
type codeRequest struct {
	ZipFile []byte // base64 on the wire

	S3Bucket, S3Key, S3ObjectVersion, ImageURI, SourceKMSKeyArn json.RawMessage
}

func (r *codeRequest) check() error {
	err := absent{
		"S3Bucket": r.S3Bucket, "S3Key": r.S3Key, "S3ObjectVersion": r.S3ObjectVersion,
		"ImageUri": r.ImageURI, "SourceKMSKeyArn": r.SourceKMSKeyArn,
	}.err()
	if err == nil && len(r.ZipFile) == 0 {
		err = invalidf("Please provide a source for function code.")
	}
	return err
}

type createRequest struct {
	settingsRequest

	FunctionName  *string
	Code          *codeRequest
	Publish       bool
	PackageType   *string
	Architectures []string
	Tags          map[string]string

	CodeSigningConfigArn, PublishTo, TenancyConfig json.RawMessage
}

func (r *createRequest) check() error {
	var v violations
	if r.FunctionName == nil {
		v.add(nil, "functionName", "Member must not be null")
	}
	if r.Role == nil {
		v.add(nil, "role", "Member must not be null")
	}
	if r.Code == nil {
		v.add(nil, "code", "Member must not be null")
	}
	r.settingsRequest.check(&v)
	v.oneOf(r.PackageType, "packageType", "Image", "Zip")
	checkArchitectures(r.Architectures, &v)
	return v.err()
}

func (s *Service) createFunction(w http.ResponseWriter, c *call) error {
	var req createRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	ref, err := s.newReference(c, *req.FunctionName)
	if err != nil {
		return err
	}
	if err := s.creatable(&req); err != nil {
		return err
	}
	if _, err := s.Catalog.Function(ref.Namespace, ref.Name); err == nil {
		return alreadyExists(ref.Name)
	}
	code, err := s.Catalog.PutCode(c.Context(), req.Code.ZipFile)
	if err != nil {
		return err
	}
	var settings function.Settings
	req.apply(&settings)
	if len(req.Architectures) > 0 {
		settings.Architecture = req.Architectures[0]
	}
	f, err := s.Catalog.Create(c.Context(), catalog.NewFunction{
		Namespace: ref.Namespace, Name: ref.Name, Settings: settings, Code: code, Tags: req.Tags,
	})
	if fault.Is(err, fault.AlreadyExists, "") {
		return alreadyExists(ref.Name)
	}
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusCreated, s.configuration(c, f, ""))
	return nil
}

// newReference reads the name of a function that is to be made.
func (s *Service) newReference(c *call, raw string) (function.Ref, error) {
	ref, err := s.reference(c, raw, "")
	switch {
	case err != nil:
		return ref, err
	case ref.Qualifier != "":
		return ref, invalidf("The function name must not have a qualifier: %s", raw)
	case len(ref.Name) > function.MaxNameLength:
		return ref, invalidf("1 validation error detected: Value %s at 'functionName' failed to satisfy constraint: Member must have length less than or equal to %d",
			quote(ref.Name), function.MaxNameLength)
	case function.CheckName(ref.Name) != nil:
		return ref, violation(raw, "functionName", "Member must satisfy regular expression pattern: %s", strictPattern)
	}
	return ref, nil
}

// creatable refuses what can't be made for another reason than its form.
func (s *Service) creatable(r *createRequest) error {
	switch {
	case r.Publish:
		return unsupported("Publish")
	case r.PackageType != nil && *r.PackageType == "Image":
		return unsupported("PackageType Image")
	}
	err := absent{"CodeSigningConfigArn": r.CodeSigningConfigArn, "PublishTo": r.PublishTo, "TenancyConfig": r.TenancyConfig}.err()
	if err != nil {
		return err
	}
	if r.Runtime == nil || r.Handler == nil {
		return invalidf("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	}
	if err := s.supported(&r.settingsRequest); err != nil {
		return err
	}
	if err := checkTags(r.Tags); err != nil {
		return err
	}
	return r.Code.check()
}

func alreadyExists(name string) error {
	return protocol.Errorf(http.StatusConflict, resourceConflict, "Function already exist: %s", name)
}
