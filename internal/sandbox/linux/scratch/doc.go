// Package scratch makes the disks that sandboxes have as their /tmp: bounded
// file systems that live on the node's disk, so that what a function writes
// there does not count as its memory (a tmpfs would be charged to it, and a
// function of 128 MB could not fill 512 MB of /tmp but would be killed).
//
// A [Disk] is an ext4 image, copied sparse from a template that is formatted
// once, on a loop device, mounted without a place: the mount is a file
// descriptor that the sandbox moves into its own tree. The image has no name
// and the loop device clears itself, so that nothing is left when the process
// dies at whatever moment.
//
// A few disks of the usual size are kept ready, since making one takes some
// milliseconds. All methods are safe for concurrent use.
package scratch
