// Package ptrace copies a process of a sandbox into new namespaces, from
// outside: the process calls fork itself, and on its way into the kernel the
// call's flags are changed. The copy is stopped before its first instruction and
// can be made to make system calls until it is let go. What the process and its
// copy run themselves, they run under their seccomp filter and without a
// privilege, always.
//
// It takes root, and a kernel with CONFIG_CHECKPOINT_RESTORE, on a machine
// that lets this process trace others. [Fork] is safe for concurrent use on
// different processes.
package ptrace
