package main

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"path"
	"time"

	"mayfly.dev/mayfly/internal/api/native/client"
	"mayfly.dev/mayfly/internal/api/native/wire"
)

const (
	nodeRuntime   = "nodejs20.x"
	pythonRuntime = "python3.11"
	goRuntime     = "provided.al2023"

	// memoryMB comes with one whole processor.
	memoryMB = 1769
)

// kind is a hello function in one language.
type kind struct {
	name     string // in the tables
	settings wire.Settings
	zip      []byte
}

// kinds packs the hello functions. mark makes a code package that no other has.
func (b *bench) kinds(mark string) ([]kind, error) {
	bootstrap, err := os.ReadFile(b.goHello)
	if err != nil {
		return nil, err
	}
	list := []kind{
		{"Node.js " + b.node.Version, wire.Settings{Runtime: nodeRuntime, Handler: "index.handler"}, nil},
		{"Python " + b.python.Version, wire.Settings{Runtime: pythonRuntime, Handler: "app.handler"}, nil},
		{"Go, custom runtime", wire.Settings{Runtime: goRuntime}, nil},
	}
	for i, name := range []string{"testdata/index.js", "testdata/app.py", "bootstrap"} {
		content := bootstrap
		if name != "bootstrap" {
			if content, err = programs.ReadFile(name); err != nil {
				return nil, err
			}
		}
		if list[i].zip, err = pack(map[string][]byte{path.Base(name): content}, mark); err != nil {
			return nil, err
		}
		list[i].settings.MemoryMB = memoryMB
	}
	return list, nil
}

// pack makes a zip of executable files.
func pack(files map[string][]byte, mark string) ([]byte, error) {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	for name, content := range files {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate}
		header.SetMode(0o755)
		f, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.SetComment(mark); err != nil {
		return nil, err
	}
	err := w.Close()
	return buffer.Bytes(), err
}

// deploy creates a function and returns when it can be invoked.
func (n *node) deploy(ctx context.Context, name string, k kind) error {
	code, err := n.PutCode(ctx, bytes.NewReader(k.zip), int64(len(k.zip)))
	if err != nil {
		return err
	}
	f, _, err := n.PutFunction(ctx, name, wire.FunctionSpec{Settings: k.settings, Code: &code}, client.PutOptions{})
	if err != nil {
		return err
	}
	if f.State != "Active" || f.Updating {
		return fmt.Errorf("the function %s is %s: %s %s", name, f.State, f.StateReason, f.UpdateFailure)
	}
	return nil
}

// publish deploys a function and gives it a URL, at which it is served.
func (n *node) publish(ctx context.Context, name string, k kind) (target, error) {
	if err := n.deploy(ctx, name, k); err != nil {
		return target{}, err
	}
	u, err := n.PutURL(ctx, name, wire.URLSpec{})
	if err != nil {
		return target{}, err
	}
	address, err := url.Parse(u.Address)
	if err != nil {
		return target{}, err
	}
	return target{address: n.gateway, host: address.Host}, nil
}

// call invokes a function whose answer must be a success.
func (n *node) call(ctx context.Context, name string) (*client.Result, error) {
	res, err := n.Invoke(ctx, name, []byte(`{}`), client.InvokeOptions{})
	if err != nil {
		return nil, err
	}
	if res.FunctionError != "" {
		return nil, fmt.Errorf("the function %s failed: %s", name, res.Payload)
	}
	return res, nil
}

// gone waits until a function has no environment left.
func (n *node) gone(ctx context.Context, name string) error {
	for {
		list, err := n.Environments(ctx, name)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}
