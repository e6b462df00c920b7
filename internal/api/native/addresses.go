package native

import (
	"context"
	"time"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/function"
)

// The defaults of a function URL.
const (
	authNone     = "NONE"
	modeBuffered = "BUFFERED"
)

type putURLInput struct {
	FunctionInput
	Body wire.URLSpec
}

type urlOutput struct{ Body wire.URL }

type putConcurrencyInput struct {
	FunctionInput
	Body wire.Concurrency
}

type concurrencyOutput struct{ Body wire.Concurrency }

// registerAddresses registers what belongs to a function as a whole: its URL and
// its concurrency.
func (a *API) registerAddresses() {
	address := put(functionPath+"/url", "put-url", "functions", "Give a function a URL, or change it")
	address.Description = "The id, and with it the address, stays the same until the URL is deleted."
	operation(a, address, a.putURL)
	operation(a, remove(functionPath+"/url", "delete-url", "functions", "Take a function's URL away"), a.deleteURL)
	operation(a, put(functionPath+"/concurrency", "put-concurrency", "functions", "Reserve concurrency for a function"), a.putConcurrency)
	operation(a, remove(functionPath+"/concurrency", "delete-concurrency", "functions", "Remove a function's reserved concurrency"), a.deleteConcurrency)
}

func (a *API) putURL(ctx context.Context, in *putURLInput) (*urlOutput, error) {
	now := time.Now().UTC()
	f, err := a.cfg.Functions.Update(ctx, in.Namespace, in.Name, func(f *function.Function) error {
		u := function.URL{AuthType: in.Body.AuthType, InvokeMode: in.Body.InvokeMode, Created: now, Modified: now}
		if f.URL != nil {
			u.ID, u.Created = f.URL.ID, f.URL.Created
		} else {
			u.ID = a.cfg.NewURLID()
		}
		if u.AuthType == "" {
			u.AuthType = authNone
		}
		if u.InvokeMode == "" {
			u.InvokeMode = modeBuffered
		}
		if in.Body.CORS != nil {
			c := function.CORS(*in.Body.CORS)
			u.CORS = &c
		}
		f.URL = &u
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &urlOutput{Body: *a.showURL(f.URL)}, nil
}

func (a *API) deleteURL(ctx context.Context, in *FunctionInput) (*struct{}, error) {
	_, err := a.cfg.Functions.Update(ctx, in.Namespace, in.Name, func(f *function.Function) error {
		f.URL = nil
		return nil
	})
	return nil, err
}

func (a *API) putConcurrency(ctx context.Context, in *putConcurrencyInput) (*concurrencyOutput, error) {
	reserved := in.Body.Reserved
	_, err := a.cfg.Functions.Update(ctx, in.Namespace, in.Name, func(f *function.Function) error {
		f.ReservedConcurrency = &reserved
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &concurrencyOutput{Body: in.Body}, nil
}

func (a *API) deleteConcurrency(ctx context.Context, in *FunctionInput) (*struct{}, error) {
	_, err := a.cfg.Functions.Update(ctx, in.Namespace, in.Name, func(f *function.Function) error {
		f.ReservedConcurrency = nil
		return nil
	})
	return nil, err
}
