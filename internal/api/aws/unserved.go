package aws

import (
	"encoding/xml"
	"net/http"

	"mayfly.dev/mayfly/internal/api/aws/protocol"
	"mayfly.dev/mayfly/internal/fault"
)

// The services that mayfly lacks refuse in one of two forms, beside those of
// the services that it has: XML without an envelope, as Amazon S3 does, and
// JSON with __type, as those do that are called by X-Amz-Target.
type (
	refuseXML    struct{}
	refuseTarget struct{}
)

var (
	_ protocol.Refuser = refuseXML{}
	_ protocol.Refuser = refuseTarget{}
)

// unserved is how the platform's faults look to clients of such services.
var unserved = protocol.Table{
	Kinds: map[fault.Kind]protocol.Answer{
		fault.Unauthenticated: {Status: http.StatusForbidden, Code: "InvalidSignatureException"},
		fault.Unsupported:     {Status: http.StatusNotImplemented, Code: "NotImplementedException"},
		fault.Internal:        {Status: http.StatusInternalServerError, Code: "InternalFailure"},
	},
	Reasons: map[fault.Kind]map[string]protocol.Answer{fault.Unauthenticated: protocol.JSONSignatureAnswers()},
}

// Refuse implements [protocol.Refuser].
func (refuseTarget) Refuse(w http.ResponseWriter, _ string, err error) {
	e := unserved.Error(err)
	w.Header().Set("X-Amzn-Errortype", e.Code)
	protocol.WriteJSON(w, e.Status, map[string]string{"__type": e.Code, "message": e.Message})
}

// Refuse implements [protocol.Refuser].
func (refuseXML) Refuse(w http.ResponseWriter, requestID string, err error) {
	e := unserved.Error(err)
	protocol.WriteDocument(w, e.Status, struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}{Code: e.Code, Message: e.Message, RequestID: requestID})
}
