package vm

import (
	"fmt"
	"os/exec"
	"strings"
)

// Packages are what the machines' own file system needs beside a minimal Debian.
var Packages = []string{"linux-image-cloud-amd64", "initramfs-tools", "qemu-guest-agent"}

// Check says what is missing here to run machines, with the cure.
func Check() error {
	var missing []string
	for _, p := range [][2]string{{"qemu-system-x86_64", "qemu-system-x86"}, {"mkfs.ext4", "e2fsprogs"}, {"ip", "iproute2"}} {
		if _, err := exec.LookPath(p[0]); err != nil {
			missing = append(missing, p[1])
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("emulated machines lack programs; the cure: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}
