package lambda

import (
	"maps"
	"net/http"
	"regexp"
	"strings"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

var functionARN = regexp.MustCompile(`^arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:function:`)

// checkTags checks the tags of one function.
func checkTags(tags map[string]string) error {
	if len(tags) > function.MaxTags {
		return invalidf("Number of tags exceeds resource tag limit.")
	}
	for key, value := range tags {
		switch {
		case key == "" || len(key) > 128:
			return invalidf("The tag key %.130q must have 1 to 128 characters.", key)
		case len(value) > 256:
			return invalidf("The value of the tag %q must have at most 256 characters.", key)
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
			return invalidf("System tags cannot be added/updated by requester.")
		}
	}
	return nil
}

// tagged reads the function that a tag operation is for: a whole ARN, without a
// qualifier.
func (s *Service) tagged(c *call) (function.Ref, error) {
	if !functionARN.MatchString(c.params[0]) {
		return function.Ref{}, violation(c.params[0], "resource", "Member must satisfy regular expression pattern: %s",
			`arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d{1}:\d{12}:(function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?)`)
	}
	ref, err := s.reference(c, c.params[0], "")
	if err == nil && ref.Qualifier != "" {
		err = invalidf("Tags on function aliases and versions are not supported. Please specify a function ARN.")
	}
	return ref, err
}

func (s *Service) listTags(w http.ResponseWriter, c *call) error {
	ref, err := s.tagged(c)
	if err != nil {
		return err
	}
	f, err := s.find(c, ref)
	if err != nil {
		return err
	}
	tags := f.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	protocol.WriteJSON(w, http.StatusOK, struct{ Tags map[string]string }{tags})
	return nil
}

func (s *Service) tagResource(w http.ResponseWriter, c *call) error {
	var req struct{ Tags map[string]string }
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	if len(req.Tags) == 0 {
		return invalidf("An error occurred and the request cannot be processed.")
	}
	return s.changeTags(w, c, func(tags map[string]string) error {
		maps.Copy(tags, req.Tags)
		return checkTags(tags)
	})
}

func (s *Service) untagResource(w http.ResponseWriter, c *call) error {
	keys := c.URL.Query()["tagKeys"]
	if len(keys) == 0 {
		return violation(nil, "tagKeys", "Member must not be null")
	}
	return s.changeTags(w, c, func(tags map[string]string) error {
		for _, key := range keys {
			delete(tags, key)
		}
		return nil
	})
}

func (s *Service) changeTags(w http.ResponseWriter, c *call, change func(map[string]string) error) error {
	ref, err := s.tagged(c)
	if err != nil {
		return err
	}
	_, err = s.Catalog.Update(c.Context(), ref.Namespace, ref.Name, func(f *function.Function) error {
		if f.Tags == nil {
			f.Tags = map[string]string{}
		}
		return change(f.Tags)
	})
	if fault.Is(err, fault.NotFound, "") {
		return s.missing(c, ref)
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
