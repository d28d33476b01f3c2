//go:build unix

package pgtest

import (
	"os"
	"os/exec"
	osuser "os/user"
	"strconv"
	"syscall"
)

// user is who runs the server; nil credentials mean whoever runs the test.
type user struct{ credential *syscall.Credential }

// ordinaryUser is the current user, or an unprivileged one when that is root.
func ordinaryUser() (user, error) {
	if os.Geteuid() != 0 {
		return user{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := osuser.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return user{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
		}
	}
	return user{}, &missingError{"it refuses to run as root, and there is neither a user postgres nor a user nobody"}
}

func (u user) own(path string) error {
	if u.credential == nil {
		return nil
	}
	return os.Chown(path, int(u.credential.Uid), int(u.credential.Gid))
}

// apply also puts the command into a process group of its own, so that an
// interrupt at the terminal reaches the test and not the server.
func (u user) apply(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u.credential, Setpgid: true}
}
