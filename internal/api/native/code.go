package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"mayfly.dev/mayfly/internal/api/native/wire"
)

const (
	// maxCodeBytes is AWS Lambda's limit of a zip file that is uploaded directly.
	maxCodeBytes  = 52428800
	uploadTimeout = 10 * time.Minute
	zipType       = "application/zip"
)

type putCodeInput struct{ Stream }

type putCodeOutput struct {
	Body wire.Code
}

type codeOutput struct {
	ContentType   string `header:"Content-Type"`
	ContentLength int64  `header:"Content-Length"`
	Disposition   string `header:"Content-Disposition"`
	ETag          string `header:"ETag"`
	Body          func(huma.Context)
}

func (a *API) registerCode() {
	upload := post("/v1/code", "put-code", "functions", "Upload a code package")
	upload.Description = "Checks and stores a zip file of at most 50 MiB (250 MiB unpacked). What no function uses is removed after some time."
	upload.DefaultStatus = http.StatusCreated
	upload.RequestBody = &huma.RequestBody{Required: true, Content: binary(zipType, "The zip file")}
	operation(a, upload, a.putCode)
	code := get(functionPath+"/code", "get-code", "functions", "Download a function's code package")
	code.Responses = map[string]*huma.Response{"200": {Description: "OK", Content: binary(zipType, "The zip file")}}
	operation(a, code, a.getCode)
}

func (a *API) putCode(ctx context.Context, in *putCodeInput) (*putCodeOutput, error) {
	select {
	case a.uploads <- struct{}{}:
		defer func() { <-a.uploads }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	zip, err := in.read(maxCodeBytes, uploadTimeout, errTooLarge("PackageTooLarge", "the code package", maxCodeBytes))
	if err != nil {
		return nil, err
	}
	code, err := a.cfg.Functions.PutCode(ctx, zip)
	if err != nil {
		return nil, err
	}
	return &putCodeOutput{Body: wire.Code(code)}, nil
}

// measure sets the size of code to that of the stored package: what the caller
// sent is only a word.
func (a *API) measure(ctx context.Context, code *wire.Code) error {
	if code == nil {
		return nil
	}
	zip, err := a.cfg.Functions.CodeZip(ctx, code.SHA256)
	if err != nil {
		return err
	}
	code.SizeBytes, err = io.Copy(io.Discard, zip)
	if err = errors.Join(err, zip.Close()); err != nil {
		return fmt.Errorf("read code %s: %w", code.SHA256, err)
	}
	return nil
}

func (a *API) getCode(ctx context.Context, in *FunctionInput) (*codeOutput, error) {
	f, err := a.cfg.Functions.Function(in.Namespace, in.Name)
	if err != nil {
		return nil, err
	}
	code := f.Newest().Code
	zip, err := a.cfg.Functions.CodeZip(ctx, code.SHA256)
	if err != nil {
		return nil, err
	}
	return &codeOutput{
		ContentType: zipType, ContentLength: code.SizeBytes,
		Disposition: `attachment; filename="` + in.Name + `.zip"`, ETag: `"` + code.SHA256 + `"`,
		Body: download(zip),
	}, nil
}
