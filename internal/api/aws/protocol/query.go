package protocol

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Form is the parameters of a query request, from the URL and the body.
type Form struct{ url.Values }

// maxMembers bounds the lists that a form may carry.
const maxMembers = 1000

// ParseForm reads r's parameters. A body counts if it is form-encoded, which is
// what every AWS client sends.
func ParseForm(r *Request) (Form, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return Form{}, malformed("query string")
	}
	if r.Method != http.MethodPost || len(r.Payload) == 0 {
		return Form{values}, nil
	}
	body, err := url.ParseQuery(string(r.Payload))
	if err != nil {
		return Form{}, malformed("body")
	}
	for key, v := range body {
		values[key] = append(values[key], v...)
	}
	return Form{values}, nil
}

func malformed(what string) *Error {
	return Errorf(http.StatusBadRequest, "MalformedQueryString", "The %s is not valid form encoding.", what)
}

// List returns the values of name.member.1, name.member.2, ...
func (f Form) List(name string) []string {
	var list []string
	for i := 1; i <= maxMembers; i++ {
		key := name + ".member." + strconv.Itoa(i)
		if !f.Has(key) {
			break
		}
		list = append(list, f.Get(key))
	}
	return list
}

// Pairs returns the values of name.member.1.Key and name.member.1.Value, ...
func (f Form) Pairs(name string) [][2]string {
	var pairs [][2]string
	for i := 1; i <= maxMembers; i++ {
		key := name + ".member." + strconv.Itoa(i)
		if !f.Has(key + ".Key") {
			break
		}
		pairs = append(pairs, [2]string{f.Get(key + ".Key"), f.Get(key + ".Value")})
	}
	return pairs
}

// HasPrefix reports whether a parameter of that name, or a part of it, is given.
func (f Form) HasPrefix(name string) bool {
	for key := range f.Values {
		if key == name || strings.HasPrefix(key, name+".") {
			return true
		}
	}
	return false
}

// WriteXML answers a query request. The result is the content of the element
// <action>Result; nil: the reply has no such element.
func WriteXML(w http.ResponseWriter, namespace, action, requestID string, result any) {
	WriteDocument(w, http.StatusOK, reply{namespace, action, requestID, result})
}

// reply is the document around a result.
type reply struct {
	namespace, action, requestID string
	result                       any
}

// MarshalXML implements [xml.Marshaler]: the names of the elements depend on
// the action.
func (r reply) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	root := xml.StartElement{Name: xml.Name{Space: r.namespace, Local: r.action + "Response"}}
	if err := e.EncodeToken(root); err != nil {
		return err
	}
	if r.result != nil {
		if err := e.EncodeElement(r.result, xml.StartElement{Name: xml.Name{Local: r.action + "Result"}}); err != nil {
			return err
		}
	}
	metadata := struct {
		RequestID string `xml:"RequestId"`
	}{r.requestID}
	if err := e.EncodeElement(metadata, xml.StartElement{Name: xml.Name{Local: "ResponseMetadata"}}); err != nil {
		return err
	}
	return e.EncodeToken(root.End())
}

// WriteXMLError answers a query request with e.
func WriteXMLError(w http.ResponseWriter, namespace, requestID string, e *Error) {
	type detail struct {
		Type    string
		Code    string
		Message string
	}
	type errorReply struct {
		XMLName   xml.Name
		Error     detail
		RequestID string `xml:"RequestId"`
	}
	d := detail{Type: "Sender", Code: e.Code, Message: e.Message}
	if e.Status >= http.StatusInternalServerError {
		d.Type = "Receiver"
	}
	WriteDocument(w, e.Status, errorReply{
		XMLName: xml.Name{Space: namespace, Local: "ErrorResponse"}, Error: d, RequestID: requestID,
	})
}

// WriteDocument answers with an XML document.
func WriteDocument(w http.ResponseWriter, status int, doc any) {
	body, err := xml.Marshal(doc)
	if err != nil { // our own structs of strings and numbers always marshal
		panic(err)
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(append([]byte(xml.Header), body...))
}
