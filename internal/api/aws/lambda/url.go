package lambda

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/catalog"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/function"
)

const urlTimeFormat = "2006-01-02T15:04:05.000000Z"

type cors struct {
	AllowCredentials bool     `json:",omitempty"`
	AllowHeaders     []string `json:",omitempty"`
	AllowMethods     []string `json:",omitempty"`
	AllowOrigins     []string `json:",omitempty"`
	ExposeHeaders    []string `json:",omitempty"`
	MaxAge           int      `json:",omitempty"` // seconds
}

type urlRequest struct {
	AuthType   *string
	Cors       *cors
	InvokeMode *string
}

type urlConfig struct {
	FunctionURL      string `json:"FunctionUrl"`
	FunctionArn      string
	AuthType         string
	Cors             *cors `json:",omitempty"`
	CreationTime     string
	LastModifiedTime string
	InvokeMode       string
}

func (s *Service) showURL(c *call, f *function.Function) urlConfig {
	u := f.URL
	shown := urlConfig{
		FunctionURL: fmt.Sprintf("http://%s.lambda-url.%s.localhost:%d/", u.ID, s.Region, s.GatewayPort),
		FunctionArn: s.arn(c, f.Name, ""), AuthType: u.AuthType, InvokeMode: u.InvokeMode,
		CreationTime:     u.Created.UTC().Format(urlTimeFormat),
		LastModifiedTime: u.Modified.UTC().Format(urlTimeFormat),
	}
	if x := u.CORS; x != nil {
		shown.Cors = &cors{x.AllowCredentials, x.AllowHeaders, x.AllowMethods, x.AllowOrigins, x.ExposeHeaders, x.MaxAgeSeconds}
	}
	return shown
}

func (r *urlRequest) check(create bool) error {
	var v violations
	if create && r.AuthType == nil {
		v.add(nil, "authType", "Member must not be null")
	}
	v.oneOf(r.AuthType, "authType", "NONE", "AWS_IAM")
	v.oneOf(r.InvokeMode, "invokeMode", "BUFFERED", "RESPONSE_STREAM")
	if x := r.Cors; x != nil {
		x.check(&v)
	}
	if err := v.err(); err != nil {
		return err
	}
	if r.InvokeMode != nil && *r.InvokeMode == "RESPONSE_STREAM" {
		return unsupported("InvokeMode RESPONSE_STREAM")
	}
	return nil
}

func (x *cors) check(v *violations) {
	v.between(&x.MaxAge, "cors.maxAge", 0, 86400)
	v.members(x.AllowHeaders, "cors.allowHeaders", 100)
	v.members(x.AllowMethods, "cors.allowMethods", 6)
	v.members(x.AllowOrigins, "cors.allowOrigins", 100)
	v.members(x.ExposeHeaders, "cors.exposeHeaders", 100)
	allowed := []string{"GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"}
	if i := slices.IndexFunc(x.AllowMethods, func(m string) bool { return !slices.Contains(allowed, m) }); i >= 0 {
		v.add(x.AllowMethods[i], "cors.allowMethods", "Member must satisfy enum value set: %v", allowed)
	}
}

// apply sets what was sent; a CORS block replaces the whole one.
func (r *urlRequest) apply(u *function.URL) {
	set(&u.AuthType, r.AuthType)
	set(&u.InvokeMode, r.InvokeMode)
	if x := r.Cors; x != nil {
		u.CORS = &function.CORS{
			AllowCredentials: x.AllowCredentials, AllowHeaders: x.AllowHeaders, AllowMethods: x.AllowMethods,
			AllowOrigins: x.AllowOrigins, ExposeHeaders: x.ExposeHeaders, MaxAgeSeconds: x.MaxAge,
		}
	}
}

// urlReference reads the function whose URL is meant. A qualifier would have to
// be an alias.
func (s *Service) urlReference(c *call) (function.Ref, error) {
	ref, err := s.named(c)
	switch {
	case err != nil:
		return ref, err
	case ref.Qualifier == function.Latest || numberRegexp.MatchString(ref.Qualifier):
		return ref, violation(ref.Qualifier, "qualifier", `Member must satisfy regular expression pattern: ((?!^\d+$)^[0-9a-zA-Z-_]+$)`)
	case ref.Qualifier != "":
		return ref, unsupported("A function URL of an alias")
	}
	if _, err := s.Catalog.Function(ref.Namespace, ref.Name); err != nil {
		if fault.Is(err, fault.NotFound, "") {
			return ref, notFoundf("Function does not exist")
		}
		return ref, err
	}
	return ref, nil
}

func noURL() error { return notFoundf("The resource you requested does not exist.") }

func (s *Service) createURL(w http.ResponseWriter, c *call) error {
	var req urlRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	if err := req.check(true); err != nil {
		return err
	}
	return s.changeURL(w, c, http.StatusCreated, func(f *function.Function) error {
		if f.URL != nil {
			return protocol.Errorf(http.StatusConflict, resourceConflict,
				"Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function",
				s.arn(c, f.Name, ""))
		}
		now := time.Now().UTC()
		f.URL = &function.URL{ID: catalog.NewURLID(), InvokeMode: "BUFFERED", Created: now, Modified: now}
		req.apply(f.URL)
		return nil
	})
}

func (s *Service) updateURL(w http.ResponseWriter, c *call) error {
	var req urlRequest
	if err := decode(c.Payload, &req); err != nil {
		return err
	}
	if err := req.check(false); err != nil {
		return err
	}
	return s.changeURL(w, c, http.StatusOK, func(f *function.Function) error {
		if f.URL == nil {
			return noURL()
		}
		req.apply(f.URL)
		f.URL.Modified = time.Now().UTC()
		return nil
	})
}

func (s *Service) changeURL(w http.ResponseWriter, c *call, status int, change func(*function.Function) error) error {
	ref, err := s.urlReference(c)
	if err != nil {
		return err
	}
	f, err := s.Catalog.Update(c.Context(), ref.Namespace, ref.Name, change)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, status, s.showURL(c, f))
	return nil
}

func (s *Service) getURL(w http.ResponseWriter, c *call) error {
	ref, err := s.urlReference(c)
	if err != nil {
		return err
	}
	f, err := s.find(c, ref)
	if err != nil {
		return err
	}
	if f.URL == nil {
		return noURL()
	}
	protocol.WriteJSON(w, http.StatusOK, s.showURL(c, f))
	return nil
}

func (s *Service) deleteURL(w http.ResponseWriter, c *call) error {
	ref, err := s.urlReference(c)
	if err != nil {
		return err
	}
	_, err = s.Catalog.Update(c.Context(), ref.Namespace, ref.Name, func(f *function.Function) error {
		if f.URL == nil {
			return noURL()
		}
		f.URL = nil
		return nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// listURLs lists the one URL that a function can have.
func (s *Service) listURLs(w http.ResponseWriter, c *call) error {
	ref, err := s.urlReference(c)
	if err != nil {
		return err
	}
	if _, _, err := page(c); err != nil {
		return err
	}
	f, err := s.find(c, ref)
	if err != nil {
		return err
	}
	list := []urlConfig{}
	if f.URL != nil {
		list = append(list, s.showURL(c, f))
	}
	protocol.WriteJSON(w, http.StatusOK, struct {
		FunctionURLConfigs []urlConfig `json:"FunctionUrlConfigs"`
	}{list})
	return nil
}
