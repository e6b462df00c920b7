package environmenttest

import (
	"context"

	"mayfly.dev/mayfly/internal/language"
	"mayfly.dev/mayfly/internal/runtimeapi"
	"mayfly.dev/mayfly/internal/sandbox"
)

var (
	_ runtimeapi.Forker = (*adapter)(nil)
	_ sandbox.Forker    = (*box)(nil)
)

func (a *adapter) Forks(language.Interpreter) bool { return a.Zygotes }

func (a *adapter) Fork(ctx context.Context, _ runtimeapi.Session, from sandbox.Forker, spec sandbox.Spec,
	settings func(sandbox.Sandbox) (runtimeapi.Launch, error),
) (runtimeapi.Session, error) {
	sb, _, err := from.Fork(ctx, spec, sandbox.Forking{})
	if err != nil {
		return nil, err
	}
	l, err := settings(sb)
	if err != nil {
		return nil, err
	}
	return a.Launch(ctx, sb, l)
}

func (b *box) Forkable() error {
	if b.world.Forkable == nil {
		return nil
	}
	return b.world.Forkable()
}

func (b *box) Fork(ctx context.Context, spec sandbox.Spec, _ sandbox.Forking) (sandbox.Sandbox, sandbox.Process, error) {
	if b.world.Copy != nil {
		if err := b.world.Copy(); err != nil {
			return nil, nil, err
		}
	}
	sb, err := (*driver)(b.world).Create(ctx, spec)
	if err != nil {
		return nil, nil, err
	}
	b.world.Forked.Add(1)
	return sb, nil, nil
}
