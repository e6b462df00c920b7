package linux

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// layout is what all sandboxes of a driver see of the host: found once, when the
// driver is made.
type layout struct {
	// mountpoint is an empty directory of the host where each sandbox, in a mount
	// namespace of its own, builds its root.
	mountpoint string
	// links are symbolic links of the root by path; dirs and files are bound.
	links       map[string]string
	dirs, files []string
	devices     []string
	// maskedDirs and maskedFiles are hidden; frozenDirs are read-only.
	maskedDirs, maskedFiles, frozenDirs []string

	// fixed makes the part of the root that is the same in every sandbox; made is
	// what it has made. proc mounts /proc and mask hides parts of it; pivot makes
	// the root the process's own.
	fixed, proc, mask, pivot *script
	made                     map[string]bool
}

// What is looked for on the host, as paths without the leading slash.
var (
	systemDirs = []string{"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"}
	// Certificates, and what the dynamic linker and Debian's alternatives need.
	// Directories that may hold private keys beside certificates are not bound
	// whole.
	etcDirs = []string{
		"etc/ssl/certs", "etc/pki/tls/certs", "etc/pki/ca-trust/extracted", "etc/ca-certificates/extracted",
		"etc/alternatives", "etc/ld.so.conf.d",
	}
	etcFiles = []string{
		"etc/ssl/openssl.cnf", "etc/ssl/cert.pem", "etc/ld.so.cache", "etc/ld.so.conf", "etc/localtime",
		"etc/protocols", "etc/services",
	}
	deviceFiles = []string{"dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom"}
	// What /proc tells of the host beyond the sandbox's own processes and the
	// figures that language runtimes read.
	procMaskedDirs  = []string{"proc/acpi", "proc/asound", "proc/bus", "proc/fs", "proc/irq", "proc/scsi"}
	procMaskedFiles = []string{
		"proc/config.gz", "proc/interrupts", "proc/kallsyms", "proc/kcore", "proc/key-users", "proc/keys", "proc/kmsg",
		"proc/latency_stats", "proc/modules", "proc/sched_debug", "proc/sysrq-trigger", "proc/timer_list", "proc/timer_stats",
	}
	procFrozenDirs = []string{"proc/sys"}
)

// findLayout looks at the host.
func findLayout(mountpoint string) *layout {
	l := &layout{mountpoint: mountpoint, links: make(map[string]string)}
	for _, name := range systemDirs {
		if target, err := os.Readlink("/" + name); err == nil {
			l.links[name] = target
		} else if isDir(name) {
			l.dirs = append(l.dirs, name)
		}
	}
	l.dirs = append(l.dirs, existing(etcDirs, isDir)...)
	for _, name := range existing(etcFiles, isFile) {
		if target, err := os.Readlink("/" + name); err == nil && strings.HasPrefix(target, "/usr/") {
			l.links[name] = target
		} else {
			l.files = append(l.files, name)
		}
	}
	l.devices = existing(deviceFiles, exists)
	l.maskedDirs = existing(procMaskedDirs, isDir)
	l.maskedFiles = existing(procMaskedFiles, exists)
	l.frozenDirs = existing(procFrozenDirs, isDir)
	l.fixed, l.proc, l.mask, l.pivot = newScript(), newScript(), newScript(), newScript()
	l.made = map[string]bool{".": true}
	l.buildFixed(l.fixed, &tree{s: l.fixed, made: l.made})
	l.maskProc(l.mask)
	l.proc.mount("proc", "proc", "proc", plain|unix.MS_NOEXEC, "")
	l.proc.include(l.mask)
	l.enter(l.pivot)
	return l
}

func existing(names []string, is func(string) bool) []string {
	var found []string
	for _, name := range names {
		if is(name) {
			found = append(found, name)
		}
	}
	return found
}

func exists(name string) bool {
	_, err := os.Stat("/" + name)
	return err == nil
}

func isDir(name string) bool {
	info, err := os.Stat("/" + name)
	return err == nil && info.IsDir()
}

func isFile(name string) bool {
	info, err := os.Stat("/" + name)
	return err == nil && info.Mode().IsRegular()
}
