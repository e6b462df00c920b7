package telemetry_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mayfly.dev/mayfly/internal/telemetry"
)

// earlierSchema is what stores made before there were chunks.
const earlierSchema = `
CREATE TABLE lines (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, namespace TEXT NOT NULL, function TEXT NOT NULL,
	request_id TEXT NOT NULL, environment TEXT NOT NULL, stream TEXT NOT NULL, text TEXT NOT NULL);
CREATE INDEX lines_function ON lines (namespace, function, id);
CREATE INDEX lines_request ON lines (request_id);
CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, namespace TEXT NOT NULL, function TEXT NOT NULL,
	request_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX records_function ON records (namespace, function, id);
CREATE INDEX records_request ON records (request_id);
`

func change(t *testing.T, dir string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "telemetry.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, stmt := range statements {
		if _, err := db.ExecContext(t.Context(), stmt); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAnEarlierDatabaseIsReadOn(t *testing.T) {
	dir := t.TempDir()
	change(t, dir, earlierSchema,
		`INSERT INTO lines VALUES (6, 1, 'default', 'f', 'r0', 'e', 'platform', 'START RequestId: r0 Version: $LATEST'), (7, 2, 'default', 'f', 'r0', 'e', 'stdout', 'old')`,
		`INSERT INTO records VALUES (3, 1, 'default', 'f', 'r0', '{"requestId":"r0","namespace":"default","function":"f","received":"2026-11-26T12:00:00Z","durationNs":5,"environment":"e"}')`)
	s, stop := open(t, dir)
	s.Record(finished("r1"))
	want := []string{"START RequestId: r0 Version: $LATEST", "old", "START RequestId: r1 Version: $LATEST", "END RequestId: r1", report("r1")}
	for size := 1; size <= 5; size++ {
		newest, err := s.Logs(t.Context(), telemetry.LogQuery{Namespace: "default", Function: "f", Limit: size, Newest: true})
		if diff := cmp.Diff(want[5-size:], texts(newest)); err != nil || diff != "" {
			t.Errorf("newest %d: %v (-want +got):\n%s", size, err, diff)
		}
	}
	if diff := cmp.Diff(want[1:], collect(t, s, telemetry.LogQuery{Function: "f", After: 6}, 4)); diff != "" {
		t.Errorf("followed behind an earlier cursor (-want +got):\n%s", diff)
	}
	if r, err := s.RecordOf(t.Context(), "r0"); err != nil || r.Duration != 5 {
		t.Errorf("the earlier record is %+v, %v", r, err)
	}
	page, err := s.Records(t.Context(), telemetry.RecordQuery{Function: "f"})
	if err != nil || len(page) != 2 || page[0].RequestID != "r1" || page[1].RequestID != "r0" || page[0].Cursor <= 7 {
		t.Errorf("records %+v, %v, want r1 with a cursor of its own and r0", page, err)
	}
	if err := telemetry.Sweep(s, t.Context(), time.Now()); err != nil { // the times are of 1970
		t.Fatal(err)
	}
	stop()

	// With the earlier rows their tables have gone, and cursors go on.
	_, stop = open(t, dir)
	stop()
	change(t, dir, `CREATE TABLE lines (proof INTEGER)`, `CREATE TABLE records (proof INTEGER)`, `DROP TABLE lines`, `DROP TABLE records`)
	s, stop = open(t, dir)
	defer stop()
	s.Line(line("f", "r", "new"))
	if got := collect(t, s, telemetry.LogQuery{After: page[0].Cursor}, 1); got[0] != "new" {
		t.Errorf("behind the last cursor: %v", got)
	}
}

func TestWhatIsOldOrTooMuchGoes(t *testing.T) {
	dir := t.TempDir()
	s, stop := open(t, dir)
	old := line("f", "r", "old")
	old.Time = time.Now().Add(-2 * time.Hour) // the retention is one
	s.Line(old)
	if lines, err := s.Logs(t.Context(), telemetry.LogQuery{}); err != nil || len(lines) != 1 {
		t.Fatalf("%v, %v, want the line", lines, err)
	}
	if err := telemetry.Sweep(s, t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
	s.Line(line("f", "r", "new"))
	lines, err := s.Logs(t.Context(), telemetry.LogQuery{Namespace: "default", Function: "f"})
	if err != nil || len(lines) != 1 || lines[0].Text != "new" || lines[0].Cursor != 2 {
		t.Errorf("after the sweep: %+v, %v, want the new line with cursor 2", lines, err)
	}
	if err := telemetry.Sweep(s, t.Context(), time.Now().Add(3*time.Hour)); err != nil {
		t.Fatal(err)
	}
	stop()
	s, stop = open(t, dir)
	defer stop()
	s.Line(line("f", "r", "newer"))
	lines, err = s.Logs(t.Context(), telemetry.LogQuery{})
	if err != nil || len(lines) != 1 || lines[0].Cursor != 3 {
		t.Errorf("after all had gone and a restart: %+v, %v, want one line with cursor 3", lines, err)
	}
}
