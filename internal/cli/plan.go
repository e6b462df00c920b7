package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mayfly.dev/mayfly/internal/api/native/wire"
	"mayfly.dev/mayfly/internal/cli/build"
)

// action is what a step does to a function.
type action string

const (
	actionCreate action = "create"
	actionUpdate action = "update"
	actionNone   action = "unchanged"
	actionDelete action = "delete"
	// actionKeep is for a function that left the manifest and is not pruned.
	actionKeep action = "left over"
)

// step is what is to be done for one function.
type step struct {
	name   string
	action action
	// changes lists what differs, in words.
	changes []string
	// source says what was detected.
	source   *build.Source
	pkg      *build.Package
	now      *wire.Function
	settings wire.Settings
	target   *target
	warnings []string
	// deployed is the function afterwards.
	deployed *wire.Function
}

// plan is all steps of a deployment, in the order in which they are done.
type plan struct {
	steps   []*step
	applied bool
}

func (p *plan) changes() int {
	n := 0
	for _, s := range p.steps {
		if s.action != actionNone && s.action != actionKeep {
			n++
		}
	}
	return n
}

// plan builds everything first: what does not build must not leave an app half
// deployed.
func (d *deployment) plan(ctx context.Context, targets []*target, prune bool) (*plan, error) {
	p := &plan{}
	for _, t := range targets {
		if t.skip {
			continue
		}
		s, err := d.prepare(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		p.steps = append(p.steps, s)
	}
	if d.appName == "" {
		return p, nil
	}
	left, err := d.leftOver(ctx, targets)
	if err != nil {
		return nil, err
	}
	for _, f := range left {
		s := &step{name: f.Name, action: actionKeep, now: &f}
		if prune {
			s.action = actionDelete
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

// leftOver lists the app's functions that its manifest no longer has.
func (d *deployment) leftOver(ctx context.Context, targets []*target) ([]wire.Function, error) {
	all, err := allFunctions(ctx, d.client)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(f wire.Function) bool {
		return f.Tags[appTag] != d.appName || slices.ContainsFunc(targets, func(t *target) bool { return t.name == f.Name })
	}), nil
}

func newStep(t *target, src *build.Source, pkg *build.Package, now *wire.Function, want wire.Settings) *step {
	s := &step{name: t.name, action: actionCreate, source: src, pkg: pkg, now: now, settings: want, target: t, warnings: src.Warnings}
	if now == nil {
		return s
	}
	s.changes = append(codeChange(now, pkg), settingsChanges(now.Settings, want)...)
	s.changes = append(s.changes, t.changes(now)...)
	if s.action = actionUpdate; len(s.changes) == 0 {
		s.action = actionNone
	}
	return s
}

func codeChange(now *wire.Function, pkg *build.Package) []string {
	switch {
	case now.Code.SHA256 != pkg.SHA256:
		return []string{"code (" + size(pkg.SizeBytes) + ")"}
	case now.State == "Failed" || now.UpdateFailure != "":
		return []string{"code (again, it failed before)"}
	default:
		return nil
	}
}

// changes lists what differs beside code and settings.
func (t *target) changes(now *wire.Function) []string {
	var list []string
	if t.url != nil && *t.url != (now.URL != nil) {
		list = append(list, fmt.Sprintf("url %t", *t.url))
	}
	if t.tags != nil && !maps.Equal(t.tags, now.Tags) {
		list = append(list, "tags")
	}
	if t.setsReserved && text(t.reserved) != text(now.ReservedConcurrency) {
		list = append(list, fmt.Sprintf("concurrency %s -> %s", text(now.ReservedConcurrency), text(t.reserved)))
	}
	return list
}

func text(n *int) string {
	if n == nil {
		return "none"
	}
	return strconv.Itoa(*n)
}

func settingsChanges(now, want wire.Settings) []string {
	var list []string
	diff := func(name string, from, to any) {
		if from != to {
			list = append(list, fmt.Sprintf("%s %v -> %v", name, from, to))
		}
	}
	diff("runtime", now.Runtime, want.Runtime)
	diff("handler", now.Handler, want.Handler)
	diff("architecture", now.Architecture, want.Architecture)
	diff("memory", now.MemoryMB, want.MemoryMB)
	diff("timeout", seconds(now.TimeoutSeconds), seconds(want.TimeoutSeconds))
	diff("tmp", now.EphemeralMB, want.EphemeralMB)
	diff("idle", orNode(seconds(now.IdleTimeoutSeconds)), orNode(seconds(want.IdleTimeoutSeconds)))
	diff("environment_concurrency", max(1, now.Concurrency), max(1, want.Concurrency))
	diff("min_environments", now.MinEnvironments, want.MinEnvironments)
	diff("max_environments", orNode(now.MaxEnvironments), orNode(want.MaxEnvironments))
	diff("queue_timeout", orNode(seconds(now.QueueTimeoutSeconds)), orNode(seconds(want.QueueTimeoutSeconds)))
	diff("egress", egressText(now.Egress), egressText(want.Egress))
	if now.Description != want.Description {
		list = append(list, "description")
	}
	if !maps.Equal(now.Env, want.Env) { // values may be secrets: names alone
		list = append(list, "env "+changedKeys(now.Env, want.Env))
	}
	return list
}

// orNode renders a setting whose zero value leaves the choice to the node.
func orNode[T comparable](value T) string {
	if value == *new(T) {
		return "the node's"
	}
	return fmt.Sprint(value)
}

// changedKeys names the variables that differ: +new, -gone, ~changed.
func changedKeys(now, want map[string]string) string {
	keys := maps.Clone(want)
	if keys == nil {
		keys = map[string]string{}
	}
	maps.Copy(keys, now)
	var diffs []string
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		from, had := now[key]
		to, has := want[key]
		switch {
		case !had:
			diffs = append(diffs, "+"+key)
		case !has:
			diffs = append(diffs, "-"+key)
		case from != to:
			diffs = append(diffs, "~"+key)
		}
	}
	return strings.Join(diffs, " ")
}

func (a *app) printPlan(p *plan, appName string) {
	if a.json {
		return
	}
	if appName != "" {
		fmt.Fprintf(a.Out, "%s\n", a.style(a.Out, bold, "app "+appName))
	}
	signs := map[action][2]string{
		actionCreate: {"+", green}, actionUpdate: {"~", yellow}, actionNone: {"=", dim}, actionDelete: {"-", red}, actionKeep: {"?", dim},
	}
	width := 0
	for _, s := range p.steps {
		width = max(width, len(s.name))
	}
	for _, s := range p.steps {
		sign := signs[s.action]
		fmt.Fprintf(a.Out, "  %s %-*s  %s%s\n", a.style(a.Out, sign[1], sign[0]), width, s.name, s.action, s.details())
	}
}

func (s *step) details() string {
	switch s.action {
	case actionCreate:
		return fmt.Sprintf("  %s, %s, %s", s.settings.Runtime, s.settings.Handler, size(s.pkg.SizeBytes))
	case actionKeep:
		return "  not in the manifest: delete it with --prune"
	case actionUpdate:
		return "  " + strings.Join(s.changes, ", ")
	case actionNone, actionDelete:
		return ""
	default:
		return ""
	}
}

// outcomeStep is a step in the form of --json.
type outcomeStep struct {
	Name     string   `json:"name"`
	Action   action   `json:"action"`
	Changes  []string `json:"changes,omitempty"`
	Language string   `json:"language,omitempty"`
	Runtime  string   `json:"runtime,omitempty"`
	Handler  string   `json:"handler,omitempty"`
	URL      string   `json:"url,omitempty"`
	SHA256   string   `json:"codeSha256,omitempty"`
	Revision string   `json:"revision,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

type outcome struct {
	App       string        `json:"app,omitempty"`
	Applied   bool          `json:"applied"`
	Functions []outcomeStep `json:"functions"`
}

func (p *plan) outcome(appName string) outcome {
	out := outcome{App: appName, Applied: p.applied, Functions: []outcomeStep{}}
	for _, s := range p.steps {
		o := outcomeStep{Name: s.name, Action: s.action, Changes: s.changes, Warnings: s.warnings}
		if s.pkg != nil {
			o.Language, o.Runtime, o.Handler, o.SHA256 = string(s.source.Kind), s.settings.Runtime, s.settings.Handler, s.pkg.SHA256
		}
		if s.deployed != nil {
			o.URL, o.Revision = urlOf(s.deployed), s.deployed.Revision
		}
		out.Functions = append(out.Functions, o)
	}
	return out
}
