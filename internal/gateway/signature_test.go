package gateway_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	signer "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"mayfly.dev/mayfly/internal/auth"
	"mayfly.dev/mayfly/internal/auth/sigv4"
	"mayfly.dev/mayfly/internal/gateway"
)

// oneKey knows the secret of the access key "MAYFLY1".
type oneKey struct{}

func (oneKey) Secret(id, _ string, _ time.Time) (auth.Identity, string, error) {
	return auth.Identity{Name: "ann", Namespace: "default", AccessKeyID: id}, "secret", nil
}

func TestSignatureOfTheSDK(t *testing.T) {
	w := newWorld()
	w.fn.URL.AuthType = "AWS_IAM"
	g := gateway.New(gateway.Config{
		Functions: w, Invoker: w, Region: "us-east-1", Account: func(string) string { return "000000000000" },
		Verifier: &sigv4.Verifier{Secrets: oneKey{}, Region: "us-east-1"},
	})
	address := "http://" + serve(t, g)
	transport := new(http.Transport)
	defer transport.CloseIdleConnections()
	for _, tt := range []struct {
		secret, sent string
		status       int
	}{
		{"secret", "signed body", http.StatusOK},
		{"secret", "another body", http.StatusForbidden},
		{"wrong", "signed body", http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, address+"/a%20b/c?x=1&y=%2F", strings.NewReader(tt.sent))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = urlID + ".lambda-url.us-east-1.localhost"
		sum := sha256.Sum256([]byte("signed body"))
		creds := aws.Credentials{AccessKeyID: "MAYFLY1", SecretAccessKey: tt.secret}
		if err := signer.NewSigner().SignHTTP(t.Context(), creds, r, hex.EncodeToString(sum[:]), "lambda", "us-east-1", time.Now()); err != nil {
			t.Fatal(err)
		}
		r.ContentLength = int64(len(tt.sent))
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("secret %q, body %q = %d, want %d", tt.secret, tt.sent, resp.StatusCode, tt.status)
		}
	}
}
