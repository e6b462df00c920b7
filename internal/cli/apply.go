package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/schollz/progressbar/v3"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/cli/build"
)

// apply does the steps in order. Each is safe to repeat: after a failure the
// same command goes on where this one ended.
func (d *deployment) apply(ctx context.Context, p *plan) error {
	for _, s := range p.steps {
		if err := d.do(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	p.applied = true
	return nil
}

func (d *deployment) do(ctx context.Context, s *step) error {
	switch s.action {
	case actionKeep:
		return nil
	case actionDelete:
		return d.client.DeleteFunction(ctx, s.name)
	case actionNone:
		s.deployed = s.now
		s.warnings = append(s.warnings, s.now.Warnings...)
		return nil
	case actionCreate, actionUpdate:
	}
	f, err := d.put(ctx, s)
	if err != nil {
		return err
	}
	s.warnings = append(s.warnings, f.Warnings...)
	s.deployed = f
	return d.finish(ctx, s, f)
}

// put uploads the code, if the node does not have it, and brings about code,
// settings and tags in one call.
func (d *deployment) put(ctx context.Context, s *step) (*wire.Function, error) {
	code, revision := wire.Code{SHA256: s.pkg.SHA256, SizeBytes: s.pkg.SizeBytes}, ""
	if s.now != nil {
		revision = s.now.Revision
	}
	if s.now == nil || s.now.Code.SHA256 != s.pkg.SHA256 {
		uploaded, err := d.upload(ctx, s.name, s.pkg)
		if err != nil {
			return nil, err
		}
		code = uploaded
	}
	spec := wire.FunctionSpec{Settings: s.settings, Code: &code, Tags: s.target.tags}
	f, _, err := d.client.PutFunction(ctx, s.name, spec, client.PutOptions{Revision: revision, CreateOnly: s.now == nil})
	return &f, err
}

// finish brings about what does not belong to a version: URL and concurrency.
func (d *deployment) finish(ctx context.Context, s *step, f *wire.Function) error {
	switch want := s.target.wantsURL(s.now); {
	case want && f.URL == nil:
		url, err := d.client.PutURL(ctx, s.name, wire.URLSpec{AuthType: "NONE"})
		if err != nil {
			return err
		}
		f.URL = &url
	case !want && f.URL != nil:
		if err := d.client.DeleteURL(ctx, s.name); err != nil {
			return err
		}
		f.URL = nil
	}
	t := s.target
	switch {
	case !t.setsReserved || text(t.reserved) == text(f.ReservedConcurrency):
		return nil
	case t.reserved == nil:
		return d.client.DeleteConcurrency(ctx, s.name)
	default:
		return d.client.PutConcurrency(ctx, s.name, *t.reserved)
	}
}

// wantsURL reports whether the function shall have a URL: as was said, else a new
// one has and an old one stays as it is.
func (t *target) wantsURL(now *wire.Function) bool {
	switch {
	case t.url != nil:
		return *t.url
	case now == nil:
		return true
	default:
		return now.URL != nil
	}
}

// barFrom is the size from which an upload is worth a progress bar.
const barFrom = 1 << 20

func (d *deployment) upload(ctx context.Context, name string, pkg *build.Package) (wire.Code, error) {
	f, err := os.Open(pkg.Path)
	if err != nil {
		return wire.Code{}, fmt.Errorf("read the package: %w", err)
	}
	defer func() { _ = f.Close() }()
	var body io.Reader = f
	if !d.json && pkg.SizeBytes >= barFrom && isTerminal(d.Err) {
		bar := progressbar.NewOptions64(pkg.SizeBytes, progressbar.OptionSetWriter(d.Err), progressbar.OptionSetDescription("  upload "+name),
			progressbar.OptionShowBytes(true), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))
		reader := progressbar.NewReader(f, bar)
		body = &reader
	}
	return d.client.PutCode(ctx, body, pkg.SizeBytes)
}
