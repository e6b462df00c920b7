package telemetry

import (
	"strings"
	"time"

	"mayfly.dev/mayfly/internal/invocation"
)

// The tags of a line's fields.
const (
	lineTime = iota + 1
	lineRequest
	lineEnvironment // a number of the chunk's strings
	lineStream      // likewise
	lineText
)

// The tags of a record's fields. From recordVersion to recordColdStartReason they
// are numbers of the chunk's strings.
const (
	recordRequest = iota + 1
	recordVersion
	recordRevision
	recordEnvironment
	recordTrigger
	recordOutcome
	recordErrorType
	recordColdStartReason
	recordErrorMessage
	recordTrace
	recordReceived
	recordBegan
	recordStartWritten
	recordColdStart
	recordInitFailed
	recordQueue
	recordSandbox
	recordRuntime
	recordLoad
	recordInit
	recordDuration
	recordBilled
	recordCPU
	recordMemory
	recordPeak
	recordRequestBytes
	recordResponseBytes
	recordDelay
)

// stored is an entry as it was read: a line or a record.
type stored struct {
	line   *Line
	record *StoredRecord
}

// decoder reads a chunk's body.
type decoder struct {
	reader

	cursor  int64 // of the next entry
	strings []string
	// wanted chooses entries by their scope; nil: all.
	wanted func(namespace, function string) bool
}

// entries returns the entries of a chunk in their order.
func (d *decoder) entries() ([]stored, error) {
	var all []stored
	for len(d.buf) > 0 {
		kind := d.bytes(1)
		piece := d.bytes(d.uvarint())
		if d.failed {
			return nil, errCorrupt
		}
		switch kind[0] {
		case pieceString:
			d.strings = append(d.strings, string(piece))
		case pieceLine, pieceRecord:
			e, err := d.entry(kind[0], reader{buf: piece})
			if err != nil {
				return nil, err
			}
			if e.line != nil || e.record != nil {
				all = append(all, e)
			}
		}
	}
	return all, nil
}

// entry reads one entry, or passes over it if nobody wants it.
func (d *decoder) entry(kind byte, r reader) (e stored, err error) {
	namespace, function, _ := strings.Cut(d.string(int64(r.uvarint())), "\x00")
	skip := d.wanted != nil && !d.wanted(namespace, function)
	if kind == pieceLine {
		if !skip {
			e.line = &Line{Cursor: d.cursor, Namespace: namespace, Function: function}
			d.line(e.line, &r)
		}
		d.cursor += lineCursors
	} else {
		d.cursor += recordCursors
		if !skip {
			e.record = &StoredRecord{Cursor: d.cursor - 1}
			e.record.Namespace, e.record.Function = namespace, function
			d.record(&e.record.Record, &r)
		}
	}
	if r.failed {
		return stored{}, errCorrupt
	}
	return e, nil
}

// string returns the string of that number; empty for 0 and for unknown ones.
func (d *decoder) string(number int64) string {
	if number <= 0 || number > int64(len(d.strings)) {
		return ""
	}
	return d.strings[number-1]
}

func (d *decoder) line(l *Line, r *reader) {
	for f, ok := r.field(); ok; f, ok = r.field() {
		switch f.tag {
		case lineTime:
			l.Time = time.Unix(0, f.number).UTC()
		case lineRequest:
			l.RequestID = string(f.text)
		case lineEnvironment:
			l.Environment = d.string(f.number)
		case lineStream:
			l.Stream = d.string(f.number)
		case lineText:
			l.Text = string(f.text)
		}
	}
}

func (d *decoder) record(r *invocation.Record, from *reader) {
	for f, ok := from.field(); ok; f, ok = from.field() {
		if text := stringField(r, f.tag); text != nil {
			if *text = string(f.text); recordVersion <= f.tag && f.tag <= recordColdStartReason {
				*text = d.string(f.number)
			}
		} else if phase := durationField(r, f.tag); phase != nil {
			*phase = time.Duration(f.number)
		} else {
			setRecordField(r, f)
		}
	}
}

// stringField returns the string of r that a tag stands for, if it does.
func stringField(r *invocation.Record, tag int) *string {
	switch tag {
	case recordRequest:
		return &r.RequestID
	case recordVersion:
		return &r.Version
	case recordRevision:
		return &r.Revision
	case recordEnvironment:
		return &r.Environment
	case recordTrigger:
		return &r.Trigger
	case recordOutcome:
		return &r.Outcome
	case recordErrorType:
		return &r.ErrorType
	case recordColdStartReason:
		return &r.ColdStartReason
	case recordErrorMessage:
		return &r.ErrorMessage
	case recordTrace:
		return &r.TraceID
	default:
		return nil
	}
}

// durationField returns the duration of r that a tag stands for, if it does.
func durationField(r *invocation.Record, tag int) *time.Duration {
	switch tag {
	case recordQueue:
		return &r.Queue
	case recordSandbox:
		return &r.Sandbox
	case recordRuntime:
		return &r.Runtime
	case recordLoad:
		return &r.Load
	case recordInit:
		return &r.Init
	case recordDuration:
		return &r.Duration
	case recordBilled:
		return &r.Billed
	case recordCPU:
		return &r.CPU
	case recordDelay:
		return &r.Delay
	default:
		return nil
	}
}

// setRecordField sets a field of r that is neither a string nor a duration.
func setRecordField(r *invocation.Record, f field) {
	switch f.tag {
	case recordReceived:
		r.Received = time.Unix(0, f.number).UTC()
	case recordBegan:
		r.Began = time.Unix(0, f.number).UTC()
	case recordStartWritten:
		r.StartWritten = f.number != 0
	case recordColdStart:
		r.ColdStart = f.number != 0
	case recordInitFailed:
		r.InitFailed = f.number != 0
	case recordMemory:
		r.MemoryMB = int(f.number)
	case recordPeak:
		r.PeakMemoryBytes = f.number
	case recordRequestBytes:
		r.RequestBytes = int(f.number)
	case recordResponseBytes:
		r.ResponseBytes = int(f.number)
	}
}
