package linux

import (
	"context"
	"os"

	"mayfly.dev/mayfly/internal/function"
	"mayfly.dev/mayfly/internal/sandbox/linux/egress"
)

// Egress returns the network that m makes.
func Egress(m *egress.Manager) Network { return managed{m} }

type managed struct{ *egress.Manager }

func (m managed) Acquire(ctx context.Context, policy function.Egress) (Namespace, error) {
	ns, err := m.Manager.Acquire(ctx, policy)
	if err != nil {
		return nil, err // not a nil *egress.Namespace in a Namespace
	}
	return ns, nil
}

func (m managed) Adopt(ctx context.Context, file *os.File, policy function.Egress) (Namespace, error) {
	ns, err := m.Manager.Adopt(ctx, file, policy)
	if err != nil {
		return nil, err
	}
	return ns, nil
}

func (m managed) AcquireUnbound(ctx context.Context) (Namespace, error) {
	ns, err := m.Manager.AcquireUnbound(ctx)
	if err != nil {
		return nil, err
	}
	return ns, nil
}
