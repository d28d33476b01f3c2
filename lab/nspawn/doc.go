// Package nspawn makes a lab of real Debian machines: systemd-nspawn with a
// whole systemd in each, over one base that has security updates pending, in a
// network whose only way out is one address and port.
//
// They share the kernel and the clock of the machine that they run on: what needs
// its own is package vm's.
//
// Everything of a lab is below one folder and in one cgroup, so that it can be
// taken away by whoever finds it, even when its process was killed with -9. Of
// what it did not make a lab changes one thing: the kernel's limit of inotify
// instances, which it puts back.
package nspawn
