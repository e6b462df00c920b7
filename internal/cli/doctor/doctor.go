// Package doctor looks at this machine and reports what a node can do on it:
// isolation, languages, disk, addresses. Its probes do no harm: what they make
// (a process in fresh namespaces, a small file, a listener) ends with the probe,
// and nothing of the machine's settings is touched.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/language"
)

// Status is a probe's verdict.
type Status string

// The verdicts.
const (
	OK   Status = "ok"
	Warn Status = "warn" // functions run, with less isolation, speed or choice
	Fail Status = "fail" // a node would not start
)

// Finding is what one probe found.
type Finding struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Detail string `json:"detail"`
	// Fix says what to do; empty when all is well.
	Fix string `json:"fix,omitempty"`
}

// Config says which node the machine is looked at for.
type Config struct {
	DataDir string
	// Control and Gateway are the addresses that the node would listen on.
	Control, Gateway string
	// Scan finds the machine's interpreters.
	Scan func(context.Context) ([]language.Interpreter, error)
}

// Run makes all probes, one after the other, and returns what they found in a
// fixed order.
func Run(ctx context.Context, cfg Config) []Finding {
	findings := isolation(ctx)
	findings = append(findings, languages(ctx, cfg.Scan)...)
	return append(findings, disk(cfg.DataDir), address(ctx, "control plane", "--control", cfg.Control, cfg.Control),
		address(ctx, "data plane", "--gateway", cfg.Gateway, cfg.Control))
}

// Worst returns the worst verdict.
func Worst(findings []Finding) Status {
	worst := OK
	for _, f := range findings {
		switch f.Status {
		case Fail:
			return Fail
		case Warn:
			worst = Warn
		case OK:
		}
	}
	return worst
}

// advice says how to get a language, by family.
var advice = map[language.Family]string{
	language.Node:   "apt-get install nodejs, or use a version manager such as nvm",
	language.Python: "apt-get install python3, or use a version manager such as pyenv",
}

func languages(ctx context.Context, scan func(context.Context) ([]language.Interpreter, error)) []Finding {
	found, err := scan(ctx)
	if err != nil {
		return []Finding{{"languages", Warn, fmt.Sprintf("the search for interpreters failed: %v", err), "see whether the programs in PATH run"}}
	}
	var findings []Finding
	for _, family := range []language.Family{language.Node, language.Python} {
		var list []string
		for _, in := range found {
			if in.Family == family {
				list = append(list, in.Version+" ("+in.Path+")")
			}
		}
		if len(list) == 0 {
			findings = append(findings, Finding{string(family), Warn, "not found: functions in it can't run", advice[family]})
			continue
		}
		findings = append(findings, Finding{Name: string(family), Status: OK, Detail: strings.Join(list, ", ")})
	}
	return findings
}

const (
	minFreeBytes = 1 << 30
	slowSync     = 20 * time.Millisecond
)

// disk looks at the folder of the data directory that exists: the directory
// itself is made by the node.
func disk(dir string) Finding {
	f := Finding{Name: "data directory", Status: OK}
	at := dir
	for {
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			break
		}
		parent := filepath.Dir(at)
		if parent == at {
			break
		}
		at = parent
	}
	sync, err := syncTime(at)
	if err != nil {
		f.Status, f.Detail = Fail, fmt.Sprintf("%s can't be written: %v", at, err)
		f.Fix = "choose another one with --data-dir, or give your user the right to write there"
		return f
	}
	free, known := freeBytes(at)
	f.Detail = fmt.Sprintf("%s, a synced write takes %s", dir, sync.Round(10*time.Microsecond))
	if known {
		f.Detail += fmt.Sprintf(", %.1f GiB free", float64(free)/(1<<30))
	}
	switch {
	case known && free < minFreeBytes:
		f.Status, f.Fix = Warn, "free some space: code packages, logs and records need it"
	case sync > slowSync:
		f.Status, f.Fix = Warn, "a faster disk makes deploying faster; invocations don't write"
	}
	return f
}

// syncTime is the median of a few synced writes to a file that is removed again.
func syncTime(dir string) (time.Duration, error) {
	file, err := os.CreateTemp(dir, ".mayfly-doctor-")
	if err != nil {
		return 0, err
	}
	defer func() { _, _ = file.Close(), os.Remove(file.Name()) }()
	block, times := make([]byte, 4096), make([]time.Duration, 7)
	for i := range times {
		start := time.Now()
		if _, err := file.Write(block); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		times[i] = time.Since(start)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

// address reports whether a node could listen there. A taken address is no fault
// if a node answers at its control plane: only that has a health check.
func address(ctx context.Context, name, flag, addr, control string) Finding {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err == nil {
		return Finding{Name: name, Status: OK, Detail: addr + " is free", Fix: closeFault(l.Close())}
	}
	if health(ctx, control) {
		return Finding{Name: name, Status: OK, Detail: addr + " is in use, and a node is running"}
	}
	return Finding{name, Fail, fmt.Sprintf("%s can't be listened on: %v", addr, rootCause(err)), "stop what uses it, or choose another address with " + flag}
}

func closeFault(err error) string {
	if err != nil {
		return "the probe's listener did not close: " + err.Error()
	}
	return ""
}

// rootCause drops the words that repeat the address.
func rootCause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// health reports whether a mayfly answers at an address of this machine.
func health(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096))
	return resp.StatusCode == http.StatusOK
}
