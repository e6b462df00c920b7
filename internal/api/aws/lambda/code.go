package lambda

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
)

// CodePath is where code packages are downloaded from, by links that
// GetFunction gives. They need no signature: they carry a seal.
const CodePath = "/_code/"

const (
	codeLinkLife = 10 * time.Minute
	codePurpose  = "code-download"
)

var codeName = regexp.MustCompile(`^([0-9a-f]{64})\.zip$`)

// codeLink returns the address of a code package, at the host that the caller
// reached this node by.
func (s *Service) codeLink(c *call, sha256 string) string {
	scheme := "http"
	if c.TLS != nil {
		scheme = "https"
	}
	expires := strconv.FormatInt(time.Now().Add(codeLinkLife).Unix(), 10)
	query := url.Values{"Expires": {expires}, "Signature": {s.Sealer.Seal(codePurpose, sha256+expires)}}
	link := url.URL{Scheme: scheme, Host: c.Host, Path: CodePath + sha256 + ".zip", RawQuery: query.Encode()}
	return link.String()
}

// ServeCode answers a request below [CodePath].
func (s *Service) ServeCode(w http.ResponseWriter, r *http.Request, requestID string) {
	if err := s.serveCode(w, r); err != nil {
		s.Refuse(w, requestID, err)
	}
}

func (s *Service) serveCode(w http.ResponseWriter, r *http.Request) error {
	match := codeName.FindStringSubmatch(strings.TrimPrefix(r.URL.Path, CodePath))
	if match == nil {
		return notFoundf("There is no such code package.")
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return protocol.Errorf(http.StatusMethodNotAllowed, "MethodNotAllowed", "A code package can only be read.")
	}
	query := r.URL.Query()
	expires, err := strconv.ParseInt(query.Get("Expires"), 10, 64)
	sealed := s.Sealer.Sealed(codePurpose, match[1]+query.Get("Expires"), query.Get("Signature"))
	if err != nil || !sealed || time.Now().Unix() > expires {
		return protocol.Errorf(http.StatusForbidden, "AccessDeniedException", "The link is not valid or has expired: take a new one from GetFunction.")
	}
	zip, err := s.Catalog.CodeZip(r.Context(), match[1])
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/zip")
	_, copyErr := io.Copy(w, zip)
	if err := zip.Close(); err != nil {
		s.Log.WarnContext(r.Context(), "code package not closed", "err", err)
	}
	if copyErr != nil { // the reply has begun: all that can be done is to break it off
		panic(http.ErrAbortHandler)
	}
	return nil
}
