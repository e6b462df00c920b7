package lambda

import (
	"encoding/base64"
	"math"
	"net/http"
	"strconv"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/function"
)

type codeLocation struct {
	RepositoryType string
	Location       string
}

type concurrency struct {
	ReservedConcurrentExecutions *int `json:",omitempty"`
}

type getFunctionReply struct {
	Configuration functionConfiguration
	Code          codeLocation
	Tags          map[string]string `json:",omitempty"`
	Concurrency   *concurrency      `json:",omitempty"`
}

func (s *Service) getFunction(w http.ResponseWriter, c *call) error {
	f, ref, err := s.known(c)
	if err != nil {
		return err
	}
	reply := getFunctionReply{
		Configuration: s.configuration(c, f, ref.Qualifier),
		Code:          codeLocation{RepositoryType: "S3", Location: s.codeLink(c, f.Newest().Code.SHA256)},
		Tags:          f.Tags,
	}
	if f.ReservedConcurrency != nil {
		reply.Concurrency = &concurrency{f.ReservedConcurrency}
	}
	protocol.WriteJSON(w, http.StatusOK, reply)
	return nil
}

func (s *Service) getFunctionConfiguration(w http.ResponseWriter, c *call) error {
	f, ref, err := s.known(c)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, s.configuration(c, f, ref.Qualifier))
	return nil
}

// maxPage is how many functions one reply lists at most, whatever was asked.
const maxPage = 50

type listFunctionsReply struct {
	Functions  []functionConfiguration
	NextMarker string `json:",omitempty"`
}

func (s *Service) listFunctions(w http.ResponseWriter, c *call) error {
	query := c.URL.Query()
	if query.Get("MasterRegion") != "" {
		return unsupported("MasterRegion")
	}
	qualifier := ""
	switch v := query.Get("FunctionVersion"); v {
	case "":
	case "ALL":
		qualifier = function.Latest
	default:
		return violation(v, "functionVersion", "Member must satisfy enum value set: [ALL]")
	}
	after, limit, err := page(c)
	if err != nil {
		return err
	}
	fs, more := s.Catalog.Functions(c.Identity.Namespace, after, limit)
	reply := listFunctionsReply{Functions: make([]functionConfiguration, len(fs))}
	for i, f := range fs {
		reply.Functions[i] = s.configuration(c, f, qualifier)
	}
	if more && len(fs) > 0 {
		reply.NextMarker = marker(fs[len(fs)-1].Name)
	}
	protocol.WriteJSON(w, http.StatusOK, reply)
	return nil
}

// marker returns the opaque text that a list goes on after name with.
func marker(name string) string { return base64.RawURLEncoding.EncodeToString([]byte("after:" + name)) }

// page reads Marker and MaxItems.
func page(c *call) (after string, limit int, err error) {
	query, limit := c.URL.Query(), maxPage
	if m := query.Get("Marker"); m != "" {
		const prefix = "after:"
		raw, err := base64.RawURLEncoding.DecodeString(m)
		if err != nil || len(raw) < len(prefix) || string(raw[:len(prefix)]) != prefix || function.CheckName(string(raw[len(prefix):])) != nil {
			return "", 0, invalidf("Invalid Marker: take NextMarker of the page before.")
		}
		after = string(raw[len(prefix):])
	}
	if m := query.Get("MaxItems"); m != "" {
		n, err := strconv.Atoi(m)
		if err != nil {
			return "", 0, invalidf("MaxItems must be a number.")
		}
		var v violations
		v.between(&n, "maxItems", 1, 10000)
		if err := v.err(); err != nil {
			return "", 0, err
		}
		limit = min(n, maxPage)
	}
	return after, limit, nil
}

// listVersions lists the one version that a function has.
func (s *Service) listVersions(w http.ResponseWriter, c *call) error {
	ref, err := s.unqualified(c)
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
	protocol.WriteJSON(w, http.StatusOK, struct{ Versions []functionConfiguration }{
		[]functionConfiguration{s.configuration(c, f, function.Latest)},
	})
	return nil
}

// getCodeSigningConfig answers what is true of every function here: none is
// signed. Terraform asks with every read.
func (s *Service) getCodeSigningConfig(w http.ResponseWriter, c *call) error {
	f, _, err := s.known(c)
	if err != nil {
		return err
	}
	protocol.WriteJSON(w, http.StatusOK, struct{ CodeSigningConfigArn, FunctionName string }{"", f.Name})
	return nil
}

type accountLimit struct {
	CodeSizeUnzipped               int64
	CodeSizeZipped                 int64
	ConcurrentExecutions           int
	UnreservedConcurrentExecutions int
}

type accountUsage struct {
	TotalCodeSize int64
	FunctionCount int64
}

// getAccountSettings leaves out TotalCodeSize of the limits: nothing but the
// disk bounds it.
func (s *Service) getAccountSettings(w http.ResponseWriter, c *call) error {
	all, _ := s.Catalog.Functions(c.Identity.Namespace, "", math.MaxInt)
	usage := accountUsage{FunctionCount: int64(len(all))}
	for _, f := range all {
		usage.TotalCodeSize += f.Newest().Code.SizeBytes
	}
	protocol.WriteJSON(w, http.StatusOK, struct {
		AccountLimit accountLimit
		AccountUsage accountUsage
	}{accountLimit{
		CodeSizeUnzipped: 262144000, CodeSizeZipped: 52428800,
		ConcurrentExecutions:           s.Concurrency,
		UnreservedConcurrentExecutions: max(0, s.Concurrency-reserved(all, "")),
	}, usage})
	return nil
}

// reserved sums the reserved concurrency of all functions but one.
func reserved(all []*function.Function, but string) int {
	sum := 0
	for _, f := range all {
		if f.ReservedConcurrency != nil && f.Name != but {
			sum += *f.ReservedConcurrency
		}
	}
	return sum
}
