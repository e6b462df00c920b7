package telemetry

import (
	"testing"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// full returns a chunk with entries of both kinds.
func filled() *chunk {
	now := time.Unix(1, 0)
	c := newChunk(1, now)
	c.addLine(&Line{Time: now, Namespace: "n", Function: "f", RequestID: "r", Environment: "e", Stream: "stdout", Text: "hello"})
	c.addRecord(&invocation.Record{RequestID: "r", Namespace: "n", Function: "g", Received: now, Duration: 5, TraceID: "t"})
	return c
}

func TestPiecesAndFieldsOfALaterVersionArePassedOver(t *testing.T) {
	c := filled()
	const laterKind, laterTag = 9, 60
	body := append(c.body, laterKind, 3, 1, 2, 3)
	c = newChunk(1, time.Unix(1, 0))
	scope := c.scope("n", "f")
	c.scratch.buf = nil
	c.scratch.number(laterTag, -5)
	c.scratch.text(laterTag+1, "later")
	c.scratch.number(lineTime, 7)
	c.scratch.text(lineText, "known")
	c.piece(pieceLine, scope, "", lineCursors)
	// The second body's string numbers go on from three strings and two scopes.
	d := decoder{reader: reader{buf: body}, cursor: 1}
	if all, err := d.entries(); err != nil || len(all) != 2 || all[1].record.Cursor != 4 {
		t.Errorf("got %+v, %v, want a line and a record", all, err)
	}
	d = decoder{reader: reader{buf: c.body}, cursor: 1}
	all, err := d.entries()
	if err != nil || len(all) != 1 || all[0].line.Text != "known" || all[0].line.Time.UnixNano() != 7 {
		t.Errorf("got %+v, %v, want the known fields", all, err)
	}
}

func TestOnlyWantedEntriesAreReadAndAllAreCounted(t *testing.T) {
	c := filled()
	d := decoder{reader: reader{buf: c.body}, cursor: c.first, wanted: func(_, function string) bool { return function == "g" }}
	all, err := d.entries()
	if err != nil || len(all) != 1 || all[0].record.Cursor != 4 || d.cursor != c.next {
		t.Errorf("got %+v, %v and the next cursor %d, want the record with cursor 4 and %d", all, err, d.cursor, c.next)
	}
}

// FuzzDecode reads damaged chunks: it must fail or answer, and nothing else.
func FuzzDecode(f *testing.F) {
	f.Add(filled().body)
	f.Add([]byte{pieceLine, 1, 0})
	f.Add([]byte{pieceString, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, body []byte) {
		d := decoder{reader: reader{buf: body}}
		all, err := d.entries()
		if err != nil {
			return
		}
		for _, e := range all {
			if (e.line == nil) == (e.record == nil) {
				t.Fatalf("%+v is not one entry", e)
			}
			_ = e.lines()
		}
	})
}
