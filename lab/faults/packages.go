package faults

import (
	"fmt"
	"math/rand/v2"
)

// Fault is what is wrong with the bad version of a package; it is the package's
// name too.
type Fault string

// The faults. What apt and dpkg say of each is recorded beside the tests.
const (
	// PostinstFails: unpacked, and then its own script fails. The machine is
	// left half configured.
	PostinstFails Fault = "lab-postinst-fails"
	// PreinstFails: its script refuses before anything is changed.
	PreinstFails Fault = "lab-preinst-fails"
	// ServiceDies: apt says all is well, and the service that it brings does
	// not stay up. Only somebody who looks afterwards sees it.
	ServiceDies Fault = "lab-service-dies"
	// ServiceLoops: the same, with a service that runs for seconds and that systemd
	// starts again and again: it runs at most moments that one looks.
	ServiceLoops Fault = "lab-service-loops"
	// ServiceStrict: its script insists that the service starts, which fails.
	ServiceStrict Fault = "lab-service-strict"
	// ServiceOnline is not bad: its service needs the network when it starts, which its
	// script insists on.
	ServiceOnline Fault = "lab-service-online"
	// Downloads: its script fetches something by itself, as some do.
	Downloads Fault = "lab-downloads"
	// Conffile: it brings a new version of a file that owners change.
	Conffile Fault = "lab-conffile"
	// Clash: it brings a file that belongs to the package of Conffile.
	Clash Fault = "lab-clash"
	// Unmet: it depends on a package that nobody has.
	Unmet Fault = "lab-unmet"
	// Reboot is not bad: it asks for a reboot.
	Reboot Fault = "lab-reboot"
	// Big has 60 MB that cannot be compressed.
	Big Fault = "lab-big"
	// Slow: its script takes half a minute, for whoever wants to come between.
	Slow Fault = "lab-slow"
)

// Faults are all of them.
func Faults() []Fault {
	return []Fault{PostinstFails, PreinstFails, ServiceDies, ServiceLoops, ServiceStrict, ServiceOnline, Downloads, Conffile, Clash, Unmet, Reboot, Big, Slow}
}

// Every package has three versions: one that is good, one with the fault, and
// one that is good again.
const (
	Good  = "1.0"
	Bad   = "1.1"
	Fixed = "1.2"
)

// connect succeeds where the lab's server can be reached.
const connect = "timeout 5 bash -c 'exec 3<>/dev/tcp/10.77.0.1/8080'"

// BigUnpacked is there while dpkg unpacks the bad version of [Big].
const BigUnpacked = "usr/share/lab-big/about.dpkg-new"

// BigSize is what the bad version of [Big] carries, in bytes.
const BigSize = 60 << 20

// Package returns a version of a package.
func Package(f Fault, version string) Deb {
	d := Deb{
		Name: string(f), Version: version,
		Description: "package of the lab that fails on purpose in version " + Bad,
		Files:       map[string]File{"usr/share/" + string(f) + "/version": {Data: []byte(version + "\n")}},
		Scripts:     map[string]string{},
	}
	bad := version == Bad
	switch f {
	case PostinstFails:
		if bad {
			d.Scripts["postinst"] = "echo 'lab-postinst-fails: migrating the database' >&2\necho 'lab-postinst-fails: ERROR: cannot migrate' >&2\nexit 1"
		}
	case PreinstFails:
		if bad {
			d.Scripts["preinst"] = "echo 'lab-preinst-fails: unsupported CPU' >&2\nexit 1"
		}
	case ServiceDies, ServiceLoops, ServiceStrict, ServiceOnline:
		service(&d, f, bad)
	case Downloads:
		if bad {
			d.Scripts["postinst"] = connect + " && exit 0\necho 'lab-downloads: ERROR: cannot fetch the fonts' >&2\nexit 1"
		}
	case Conffile:
		d.Files["etc/lab-conffile.conf"] = File{Data: []byte("setting = " + version + "\n")}
		d.Conffiles = []string{"etc/lab-conffile.conf"}
	case Clash:
		if bad {
			d.Files["usr/share/"+string(Conffile)+"/version"] = File{Data: []byte("not mine\n")}
		}
	case Unmet:
		if bad {
			d.Depends = "no-such-package (>= 2)"
		}
	case Reboot:
		if bad {
			// As the packages of kernels and of libc do it on Debian and Ubuntu.
			d.Scripts["postinst"] = "echo '*** System restart required ***' > /run/reboot-required\necho lab-reboot >> /run/reboot-required.pkgs"
		}
	case Big:
		if bad {
			blob := make([]byte, BigSize)
			_, _ = rand.NewChaCha8([32]byte{1}).Read(blob)
			d.Files["usr/share/lab-big/blob"] = File{Data: blob}
			// dpkg puts files in their places when all of them are written: this one
			// waits beside its place for as long as the blob takes.
			d.Files["usr/share/lab-big/about"] = File{Data: []byte("a blob\n")}
		}
	case Slow:
		if bad {
			d.Scripts["postinst"] = "echo lab-slow: this takes half a minute\nsleep 30"
		}
	}
	return d
}

// service adds a unit and the script that restarts it: as debhelper writes it,
// which forgives everything, or strictly.
func service(d *Deb, f Fault, bad bool) {
	name := string(f)
	unit := "[Unit]\nDescription=" + d.Description + "\n[Service]\n%sExecStart=/usr/sbin/" + name + "\n[Install]\nWantedBy=multi-user.target\n"
	program, kind, forgive := "exec sleep infinity", "", " || true"
	if f == ServiceStrict || f == ServiceOnline {
		// Its start fails, where a simple service would fail after its start.
		program, kind, forgive = "exit 0", "Type=oneshot\nRemainAfterExit=yes\n", ""
	}
	if f == ServiceLoops {
		kind = "Restart=always\n"
	}
	switch {
	case bad && f == ServiceOnline:
		program = connect + " || exit 3"
	case bad && f == ServiceLoops:
		program = "sleep 4\nexit 3"
	case bad:
		program = "echo '" + name + ": bad directive in the configuration' >&2\nexit 3"
	}
	d.Files["usr/sbin/"+name] = File{Data: []byte("#!/bin/sh\n" + program + "\n"), Executable: true}
	d.Files["lib/systemd/system/"+name+".service"] = File{Data: fmt.Appendf(nil, unit, kind)}
	d.Scripts["postinst"] = fmt.Sprintf(`set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
	deb-systemd-helper enable %[1]s.service >/dev/null || true
	deb-systemd-invoke restart %[1]s.service >/dev/null%[2]s
fi`, name, forgive)
}
