package patching

import "strings"

// kernelParts begin the names of the packages that a kernel is made of: its
// image and, where they are apart from it, its modules.
var kernelParts = []string{"linux-image-", "linux-modules-"}

// IsKernel reports whether a package is part of a kernel, or depends on the
// newest one ("linux-image-amd64"). A new kernel comes under a name of its own,
// beside the one that runs.
func IsKernel(name string) bool {
	for _, part := range kernelParts {
		if strings.HasPrefix(name, part) {
			return true
		}
	}
	return false
}

// RunsFrom reports whether a machine that runs a kernel of that release, as
// uname -r gives it, runs it from the package. Package managers refuse to
// remove that one.
func RunsFrom(name, release string) bool {
	return release != "" && IsKernel(name) && strings.HasSuffix(name, "-"+release)
}
