package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// printJSON prints a value as indented JSON.
func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows in aligned columns below a header.
func (a *app) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(a.Out, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// The styles, as parameters of the terminal's "select graphic rendition".
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
	dim    = "2"
)

// style colours text if w is a terminal that wants colours.
func (a *app) style(w io.Writer, style, text string) string {
	if _, off := a.env("NO_COLOR"); off || !isTerminal(w) {
		return text
	}
	if kind, _ := a.env("TERM"); kind == "dumb" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// isTerminal reports whether a stream is a person's.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// note prints a line of progress.
func (a *app) note(format string, args ...any) {
	if !a.json {
		fmt.Fprintf(a.Err, format+"\n", args...)
	}
}

// warn prints a warning.
func (a *app) warn(text string) {
	fmt.Fprintf(a.Err, "%s %s\n", a.style(a.Err, yellow, "warning:"), text)
}

// confirm asks a person; programs are taken to mean what they say.
func (a *app) confirm(question string) bool {
	if !isTerminal(a.In) || !isTerminal(a.Err) {
		return true
	}
	fmt.Fprintf(a.Err, "%s [Y/n] ", question)
	var answer string
	if _, err := fmt.Fscanln(a.In, &answer); err != nil && answer == "" && err.Error() != "unexpected newline" {
		return false
	}
	answer = strings.ToLower(answer)
	return answer == "" || answer == "y" || answer == "yes"
}

func size(bytes int64) string {
	switch {
	case bytes < 1000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1000_000:
		return fmt.Sprintf("%.1f kB", float64(bytes)/1e3)
	default:
		return fmt.Sprintf("%.1f MB", float64(bytes)/1e6)
	}
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Millisecond)
}

func millis(ms float64) string { return round(time.Duration(ms * float64(time.Millisecond))) }

func round(d time.Duration) string { return d.Round(10 * time.Microsecond).String() }

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ago is a time span a person reads at a glance.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}
