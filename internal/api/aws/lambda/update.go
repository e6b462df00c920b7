package lambda

import (
	"encoding/json"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/archive"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

type updateCodeRequest struct {
	codeRequest

	Publish       bool
	DryRun        bool
	RevisionID    string `json:"RevisionId"`
	Architectures []string
	PublishTo     json.RawMessage
}

func (s *Service) updateFunctionCode(w http.ResponseWriter, c *call) error {
	var req updateCodeRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	var v violations
	if checkArchitectures(req.Architectures, &v); v.err() != nil {
		return v.err()
	}
	f, ref, err := s.changeable(c)
	if err != nil {
		return err
	}
	if req.Publish {
		return unsupported("Publish")
	}
	if err := (absent{"PublishTo": req.PublishTo}).err(); err != nil {
		return err
	}
	if err := req.check(); err != nil {
		return err
	}
	if req.DryRun {
		return s.tryCode(w, c, f, &req)
	}
	code, err := s.Catalog.PutCode(c.Context(), req.ZipFile)
	if err != nil {
		return err
	}
	return s.updateVersion(w, c, ref, req.RevisionID, func(v *function.Version) error {
		v.Code = code
		if len(req.Architectures) > 0 {
			v.Architecture = req.Architectures[0]
		}
		return nil
	})
}

// tryCode answers with what an update would make, and makes nothing.
func (s *Service) tryCode(w http.ResponseWriter, c *call, f *function.Function, req *updateCodeRequest) error {
	if req.RevisionID != "" && req.RevisionID != f.Newest().Revision {
		return fault.New(fault.Conflict, "RevisionMismatch", "the revision is not the latest")
	}
	info, err := archive.Check(req.ZipFile, archive.DefaultLimits)
	if err != nil {
		return err
	}
	changed := f.Clone()
	v := changed.Newest()
	v.Code = function.Code{SHA256: info.SHA256, SizeBytes: int64(len(req.ZipFile))}
	if len(req.Architectures) > 0 {
		v.Architecture = req.Architectures[0]
	}
	protocol.WriteJSON(w, http.StatusOK, s.configuration(c, changed, ""))
	return nil
}

type updateConfigurationRequest struct {
	settingsRequest

	RevisionID string `json:"RevisionId"`
}

func (s *Service) updateFunctionConfiguration(w http.ResponseWriter, c *call) error {
	var req updateConfigurationRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	var v violations
	if req.check(&v); v.err() != nil {
		return v.err()
	}
	_, ref, err := s.changeable(c)
	if err != nil {
		return err
	}
	if err := s.supported(&req.settingsRequest); err != nil {
		return err
	}
	return s.updateVersion(w, c, ref, req.RevisionID, func(v *function.Version) error {
		req.apply(&v.Settings)
		return nil
	})
}

// changeable returns the function that a change is for. Only $LATEST can be
// changed.
func (s *Service) changeable(c *call) (*function.Function, function.Ref, error) {
	ref, err := s.named(c)
	if err != nil {
		return nil, ref, err
	}
	f, err := s.find(c, ref)
	if err == nil && f.State == function.Pending {
		err = fault.New(fault.Conflict, "FunctionPending", "the function is being created")
	}
	return f, ref, err
}

// updateVersion stages a change and answers with the function as it will be.
func (s *Service) updateVersion(w http.ResponseWriter, c *call, ref function.Ref, revision string, change func(*function.Version) error) error {
	f, err := s.change(c, ref, revision, change)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, s.configuration(c, f, ""))
	return nil
}

// change stages a change of a function's version.
func (s *Service) change(c *call, ref function.Ref, revision string, change func(*function.Version) error) (*function.Function, error) {
	f, err := s.Catalog.UpdateVersion(c.Context(), ref.Namespace, ref.Name, revision, change)
	switch {
	case fault.Is(err, fault.Conflict, "UpdateInProgress"):
		return nil, protocol.Errorf(http.StatusConflict, resourceConflict,
			"The operation cannot be performed at this time. An update is in progress for resource: %s", s.arn(c, ref.Name, ""))
	case fault.Is(err, fault.NotFound, "FunctionNotFound"):
		return nil, s.missing(c, ref)
	}
	return f, err
}

func (s *Service) deleteFunction(w http.ResponseWriter, c *call) error {
	ref, err := s.named(c)
	if err != nil {
		return err
	}
	if ref.Qualifier == function.Latest {
		return invalidf("$LATEST version cannot be deleted without deleting the function.")
	}
	qualifier := ref.Qualifier
	ref.Qualifier = "" // the error for an unknown function names the function alone
	if _, err := s.find(c, ref); err != nil {
		return err
	}
	switch {
	case numberRegexp.MatchString(qualifier): // no such version: there is nothing to delete
	case qualifier != "":
		return invalidf("Deletion of aliases is not currently supported.")
	default:
		if err := s.Catalog.Delete(c.Context(), ref.Namespace, ref.Name); err != nil {
			if fault.Is(err, fault.NotFound, "") {
				return s.missing(c, ref)
			}
			return err
		}
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
