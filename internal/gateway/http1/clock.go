package http1

import (
	"net/http"
	"sync/atomic"
	"time"
)

// clock keeps the text of the Date header, which changes once a second.
type clock struct{ last atomic.Pointer[dateText] }

type dateText struct {
	second int64
	text   string
}

func (c *clock) append(b []byte, now time.Time) []byte {
	d := c.last.Load()
	if second := now.Unix(); d == nil || d.second != second {
		d = &dateText{second, "Date: " + now.UTC().Format(http.TimeFormat) + "\r\n"}
		c.last.Store(d)
	}
	return append(b, d.text...)
}
