// Package vm boots Debian machines with kernels and clocks of their own: qemu's
// emulation (TCG), because not every machine that builds has KVM, and a real
// kernel under emulation is up in a minute.
//
// A machine is an ext4 image of a folder. There is no boot loader: at every start
// the kernel and the initrd are those that /vmlinuz and /initrd.img name in the
// image, which Debian's packages keep pointing at the newest kernel. A reboot
// ends qemu, and it is started again; so does a machine that was switched off from
// inside. It ends with the process that keeps it.
//
// Programs run through qemu's guest agent, which needs no network and does not mind
// what time it is.
package vm
