package packages

import (
	"context"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

var kernelImage = regexp.MustCompile(`^linux-image-(unsigned-)?([0-9].*)$`)

// kernelsKept of each flavour stay: the newest, and the one before it, by which
// the machine starts when the newest does not.
const kernelsKept = 2

// removeKernels removes superseded kernels, if that takes nothing else along,
// and returns the bytes that this gave back.
func (a *APT) removeKernels(ctx context.Context, held []string) (int64, error) {
	has, err := a.Installed(ctx)
	if err != nil {
		return 0, err
	}
	for i := range has { // as if somebody had put them on hold in dpkg
		has[i].Held = has[i].Held || slices.Contains(held, has[i].Name)
	}
	old := superseded(has, a.runningKernel(), func(release string) bool {
		_, err := fs.Stat(a.root, "boot/vmlinuz-"+release)
		return err == nil
	})
	if len(old) == 0 {
		return 0, nil
	}
	args := append(a.transaction(), "purge", "--")
	asked := make([]patching.Patch, 0, len(old))
	for _, p := range old {
		args = append(args, p.Name+":"+p.Arch)
		asked = append(asked, patching.Patch{Action: patching.Remove, Name: p.Name, Arch: p.Arch, From: p.Version})
	}
	would, err := a.simulate(ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("see what goes with the old kernels: %w", err)
	}
	if extra := more(would, asked); extra != "" {
		return 0, &Error{
			Reason: patching.ReasonPlanStale, Signature: "apt: more than was asked",
			Detail: "The old kernels stay: with them would go " + extra,
		}
	}
	out, err := a.run(ctx, aptQuick, "dpkg-query", "-W", "-f", `${binary:Package}\t${Architecture}\t${Installed-Size}\n`)
	if err != nil {
		return 0, fmt.Errorf("ask what packages take: %w", aptError(err, out))
	}
	sizes, freed := parseSizes(out), int64(0)
	for _, p := range old {
		freed += sizes[p.Name+":"+p.Arch]
		if m := kernelImage.FindStringSubmatch(p.Name); m != nil {
			freed += a.weigh("boot/initrd.img-" + m[2]) // made on the machine: no package's
		}
	}
	if err := a.change(ctx, asked, has, "remove old kernels", args); err != nil {
		return 0, err
	}
	return freed, nil
}

// more names what a simulation would change beyond the patches.
func more(would simulation, asked []patching.Patch) string {
	var extra []string
	for _, i := range would.installs {
		extra = append(extra, i.name)
	}
	for _, r := range would.removals {
		name, _, _ := strings.Cut(r.said, ":")
		if !slices.ContainsFunc(asked, func(p patching.Patch) bool { return p.Name == name }) {
			extra = append(extra, name)
		}
	}
	return strings.Join(extra, ", ")
}

func (a *APT) runningKernel() string {
	text, err := fs.ReadFile(a.root, "proc/sys/kernel/osrelease")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

var builtAs = regexp.MustCompile(`\bDebian (\S+) \(`)

// rebuiltKernel returns the package of the running kernel if a newer build of the
// same release is installed, as Debian makes them while modules stay compatible:
//
//	Linux version 6.1.0-29-amd64 (…) #1 SMP PREEMPT_DYNAMIC Debian 6.1.123-1 (2025-01-02)
func rebuiltKernel(has []Installed, running, built string) string {
	m := builtAs.FindStringSubmatch(built)
	if m == nil {
		return ""
	}
	for _, p := range has {
		image := kernelImage.FindStringSubmatch(p.Name)
		if len(image) == 0 || image[2] != running || p.Broken {
			continue
		}
		if version.Debian.Older(m[1], p.Version) {
			return p.Name
		}
	}
	return ""
}

// superseded returns kernels that can go, with the modules and headers of the
// same release: not the one that runs, not the newest ones of its flavour, none
// that is on hold, and none at all where the running kernel is not from a
// package with an image in /boot, as in a container.
func superseded(has []Installed, running string, bootable func(release string) bool) []Installed {
	type kernel struct {
		release, version string
		held             bool
	}
	flavours := map[string][]kernel{}
	ours := false
	for _, p := range has {
		m := kernelImage.FindStringSubmatch(p.Name)
		if m == nil {
			continue
		}
		v, flavour := splitKernel(m[2])
		if _, known := version.Debian.Compare(v, v); !known {
			continue
		}
		ours = ours || m[2] == running && bootable(running)
		if p.Broken || !bootable(m[2]) && m[2] != running {
			continue // neither a way back nor to be touched
		}
		held := slices.ContainsFunc(has, func(q Installed) bool { return q.Held && ofRelease(q.Name, m[2]) })
		flavours[flavour] = append(flavours[flavour], kernel{m[2], v, held})
	}
	if !ours {
		return nil
	}
	gone := map[string]bool{}
	for _, kernels := range flavours {
		slices.SortFunc(kernels, func(a, b kernel) int {
			order, _ := version.Debian.Compare(b.version, a.version)
			return order
		})
		for n, k := range kernels {
			if n >= kernelsKept && k.release != running && !k.held {
				gone[k.release] = true
			}
		}
	}
	return keepIf(has, func(p Installed) bool {
		for release := range gone {
			if ofRelease(p.Name, release) {
				return true
			}
		}
		return false
	})
}

// ofRelease reports whether a package belongs to the kernel of that release.
func ofRelease(name, release string) bool {
	start, ok := strings.CutSuffix(name, release)
	return ok && slices.Contains([]string{"linux-image-", "linux-image-unsigned-", "linux-modules-", "linux-modules-extra-", "linux-headers-"}, start)
}
