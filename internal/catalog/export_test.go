package catalog

import (
	"context"
	"time"
)

// SweepAt removes unused code as if it was that time.
func SweepAt(ctx context.Context, c *Catalog, now time.Time) error { return c.sweepOnce(ctx, now) }

// LoseCode makes the store lose a code package.
func LoseCode(ctx context.Context, c *Catalog, digest string) error {
	return c.objects.Delete(ctx, digest)
}
