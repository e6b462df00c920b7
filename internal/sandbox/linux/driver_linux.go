package linux

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"mayfly.dev/mayfly/internal/fault"
	"mayfly.dev/mayfly/internal/sandbox"
)

// Driver makes sandboxes. See the package comment.
type Driver struct {
	cfg        Config
	privileged bool
	layout     *layout
	filter     []unix.SockFilter
	// lastCapability is the kernel's last one; noCapabilities is the part of every
	// script that drops them.
	lastCapability int
	noCapabilities *script
	cgroups        cgroups
	groups         *stock[cgroup]
	roots          *stock[*mountNS] // with root alone
	network        Network
	own            *loopbackOnly // network, if Config has none that can be used
	uids           *uids
	leftovers      leftovers
	spawners       *spawners
	devNull        *os.File

	mu   sync.Mutex
	live map[string]*Sandbox // by id; guarded by mu
}

var _ sandbox.Driver = (*Driver)(nil)

// New looks at what the machine can do and returns a driver. Close must be
// called. It fails with Unsupported if the machine can't isolate at all.
func New(cfg Config) (*Driver, error) {
	cfg.setDefaults()
	if err := checkConfig(cfg); err != nil {
		return nil, err
	}
	d := &Driver{
		cfg: cfg, privileged: os.Geteuid() == 0, live: make(map[string]*Sandbox),
		uids: newUIDs(cfg.FirstUID, cfg.UIDs), network: cfg.Network,
		leftovers: leftovers{dir: filepath.Join(cfg.StateDir, "processes")},
	}
	if err := d.prepare(); err != nil {
		return nil, err
	}
	size := 0
	if d.privileged {
		size = stockSize
	}
	d.roots = newStock(size, d.layout.prepare, (*mountNS).close, cfg.Log)
	if err := d.probe(); err != nil {
		return nil, errors.Join(err, d.roots.close(), d.devNull.Close())
	}
	if d.network == nil || !d.privileged {
		d.own = newLoopbackOnly(!d.privileged, cfg.Log)
		d.network = d.own
	}
	d.groups = newStock(stockSize, d.cgroups.create, cgroup.discard, cfg.Log)
	d.spawners = newSpawners()
	return d, nil
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

func checkConfig(cfg Config) error {
	switch {
	case !filepath.IsAbs(cfg.StateDir):
		return fault.New(fault.Invalid, "StateDir", "the sandbox driver's state directory %q is not an absolute path", cfg.StateDir)
	case !namePattern.MatchString(cfg.NodeID):
		return fault.New(fault.Invalid, "NodeID", "the node id %q is not valid: use letters a-z, digits and -", cfg.NodeID)
	case cfg.FirstUID < 1 || cfg.UIDs < 1:
		return fault.New(fault.Invalid, "UIDs", "the user ids %d and following can't be given to sandboxes", cfg.FirstUID)
	}
	return nil
}

// prepare finds and opens what all sandboxes share.
func (d *Driver) prepare() error {
	root := filepath.Join(d.cfg.StateDir, "root")
	for _, dir := range []string{root, d.leftovers.dir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the sandbox driver's state directory: %w", err)
		}
	}
	var err error
	if d.lastCapability, err = lastCapability(); err != nil {
		return err
	}
	d.noCapabilities = newScript()
	dropCapabilities(d.noCapabilities, d.lastCapability)
	if d.filter, err = filter(); err != nil {
		return err
	}
	if d.cgroups, err = findCgroups(d.cfg.NodeID); err != nil {
		return err
	}
	d.layout = findLayout(root)
	d.devNull, err = os.OpenFile(os.DevNull, os.O_RDWR, 0)
	return err
}

// Name returns "linux".
func (d *Driver) Name() string { return "linux" }

// Create makes a sandbox in which nothing runs yet.
func (d *Driver) Create(ctx context.Context, spec sandbox.Spec) (sandbox.Sandbox, error) {
	if err := checkSpec(&spec); err != nil {
		return nil, err
	}
	if spec.Unbound && !d.privileged {
		return nil, fault.New(fault.Unsupported, "Unbound", "without root a sandbox can't be given more than it was made with: run the node as root")
	}
	s := &Sandbox{driver: d, spec: spec, forks: make(chan struct{}, 1)}
	if err := d.enlist(s); err != nil {
		return nil, err
	}
	if err := s.acquire(ctx); err != nil {
		// What could be had is given back even if ctx has ended.
		return nil, errors.Join(err, s.release(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (d *Driver) enlist(s *Sandbox) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.live[s.spec.ID] != nil {
		return fault.New(fault.AlreadyExists, "SandboxExists", "there is a sandbox %q already", s.spec.ID)
	}
	d.live[s.spec.ID] = s
	return nil
}

func (d *Driver) delist(s *Sandbox) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.live, s.spec.ID)
}

// reserved are the parts of a root that mounts may not hide.
var reserved = []string{"/dev", "/proc", "/sys", "/tmp", "/var/tmp", "/etc", "/usr/bin", "/usr/lib"}

func checkSpec(spec *sandbox.Spec) error {
	switch {
	case !namePattern.MatchString(spec.ID):
		return fault.New(fault.Invalid, "SandboxID", "the sandbox id %q is not valid", spec.ID)
	case spec.MemoryBytes <= 0 || spec.MilliCPU <= 0 || spec.PIDs <= 0 || spec.OpenFiles <= 0 || spec.TmpBytes <= 0 && !spec.Unbound:
		return fault.New(fault.Invalid, "SandboxLimits", "every limit of sandbox %q must be set", spec.ID)
	}
	return checkMounts(spec.Mounts)
}

func checkMounts(mounts []sandbox.Mount) error {
	for _, m := range mounts {
		if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" || !filepath.IsAbs(m.Source) {
			return fault.New(fault.Invalid, "SandboxMount", "%q can't be mounted at %q: both must be clean absolute paths", m.Source, m.Target)
		}
		if _, err := os.Stat(m.Source); err != nil {
			return fmt.Errorf("mount at %s: %w", m.Target, err)
		}
		for _, dir := range reserved {
			if m.Target == dir || strings.HasPrefix(m.Target, dir+"/") {
				return fault.New(fault.Invalid, "SandboxMount", "nothing can be mounted at %q: %s is the sandbox's own", m.Target, dir)
			}
		}
	}
	return nil
}

// Gaps lists what can't be enforced on this machine.
func (d *Driver) Gaps() []sandbox.Gap {
	gaps := append(d.cgroups.gaps(), d.network.Gaps()...)
	if d.cfg.Scratch == nil || !d.privileged {
		gaps = append(gaps, sandbox.Gap{
			What: "What a function writes to /tmp counts as its memory.",
			Why:  "Disk images can't be mounted: that takes root, loop devices and mke2fs.",
			Fix:  "Run the node as root, with the package e2fsprogs installed; in a container, allow /dev/loop-control and /dev/loop*.",
		})
	}
	if !d.privileged {
		gaps = append(gaps, sandbox.Gap{
			What: "Sandboxes have no user id of their own on the host.",
			Why:  "Without root there is one user id for the node and all of its sandboxes.",
			Fix:  "Run the node as root.",
		})
	}
	return gaps
}

// Sweep kills and removes what earlier processes of this node left behind.
func (d *Driver) Sweep(ctx context.Context) error {
	// No sandbox is left when its process is gone: all mounts are its own.
	return errors.Join(d.leftovers.sweep(), d.cgroups.sweep(ctx), d.network.Sweep(ctx))
}

// Close frees what the driver holds. Config.Network stays the caller's.
func (d *Driver) Close() error {
	d.mu.Lock()
	n := len(d.live)
	d.mu.Unlock()
	if n > 0 {
		return fmt.Errorf("close the sandbox driver: %d sandboxes are not destroyed", n)
	}
	d.spawners.close()
	err := errors.Join(d.groups.close(), d.roots.close())
	if d.own != nil {
		err = errors.Join(err, d.own.Close())
	}
	return errors.Join(err, d.cgroups.close(), d.devNull.Close())
}
