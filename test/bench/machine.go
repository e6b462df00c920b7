package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine says where and what was measured.
type Machine struct {
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Kernel  string `json:"kernel"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	LoadAvg string `json:"loadAverage"`
	Go      string `json:"go"`
}

// machine asks the system; what it does not say stays empty.
func machine(ctx context.Context) Machine {
	m := Machine{
		Date: time.Now().UTC().Format("2006-01-02 15:04"), Cores: runtime.NumCPU(), Go: runtime.Version(),
		Commit: output(ctx, "git", "describe", "--always", "--dirty"), Kernel: output(ctx, "uname", "-r"),
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.LoadAvg, _, _ = strings.Cut(string(b), " ")
	}
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return m
	}
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			m.CPU = strings.TrimSpace(value)
			break
		}
	}
	return m
}

func output(ctx context.Context, program string, args ...string) string {
	out, err := exec.CommandContext(ctx, program, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func (m Machine) markdown(w io.Writer) {
	fmt.Fprintf(w, "%s UTC, commit %s, %d cores (%s), Linux %s, %s, load average at the start %s\n",
		m.Date, m.Commit, m.Cores, m.CPU, m.Kernel, m.Go, m.LoadAvg)
}
