package native

import (
	"context"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/language"
)

type nodeOutput struct{ Body wire.Node }

type runtimesOutput struct{ Body wire.RuntimeList }

func (a *API) registerNode() {
	operation(a, get("/v1/node", "get-node", "node", "Describe the node: version, sandbox driver, limits and load"), a.node)
	operation(a, get("/v1/runtimes", "list-runtimes", "node", "List the runtime identifiers and what serves them on this machine"), a.runtimes)
}

func (a *API) node(ctx context.Context, _ *struct{}) (*nodeOutput, error) {
	n := a.cfg.Node(ctx)
	if n.Gaps == nil {
		n.Gaps = []wire.Gap{}
	}
	return &nodeOutput{Body: n}, nil
}

func (a *API) runtimes(context.Context, *struct{}) (*runtimesOutput, error) {
	list := wire.RuntimeList{Runtimes: []wire.Runtime{}, Interpreters: []wire.Interpreter{}}
	for _, id := range a.cfg.Runtimes.Identifiers() {
		list.Runtimes = append(list.Runtimes, a.runtime(id))
	}
	for _, in := range a.cfg.Runtimes.Interpreters() {
		list.Interpreters = append(list.Interpreters, showInterpreter(in))
	}
	return &runtimesOutput{Body: list}, nil
}

func (a *API) runtime(id string) wire.Runtime {
	r, err := a.cfg.Runtimes.Resolve(id)
	if err != nil {
		return wire.Runtime{Identifier: id, Missing: fault.From(err).Detail}
	}
	w := wire.Runtime{Identifier: id, Available: true, Family: string(r.Family), Warning: r.Warning}
	if r.Interpreter.Path != "" {
		in := showInterpreter(r.Interpreter)
		w.Interpreter = &in
	}
	return w
}

func showInterpreter(in language.Interpreter) wire.Interpreter {
	return wire.Interpreter{Family: string(in.Family), Version: in.Version, Path: in.Path}
}
