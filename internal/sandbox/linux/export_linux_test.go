package linux

import (
	"context"
	"time"
)

// AwaitStock waits until all that is kept ready is.
func (d *Driver) AwaitStock(ctx context.Context) error {
	for len(d.roots.ready) < cap(d.roots.ready) || len(d.groups.ready) < cap(d.groups.ready) ||
		d.own != nil && len(d.own.stock.ready) < cap(d.own.stock.ready) {
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
