package visit

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// installing receives a package and has dpkg install it. Nobody but the account can write
// where it lies between the comparison and dpkg. What dpkg says goes into a file: it would
// be killed in the middle by its next word if the line were lost. Settings files that were
// changed there stay.
const installing = `d=$(mktemp -d) || exit
trap 'rm -rf "$d"' EXIT
cat > "$d/patchcycle-agent.deb" || exit
echo "%x  $d/patchcycle-agent.deb" | sha256sum --check --status || { echo "it arrived otherwise than it was sent; nothing was installed" >&2; exit 65; }
DEBIAN_FRONTEND=noninteractive dpkg --force-confold --install "$d/patchcycle-agent.deb" > "$d/said" 2>&1 < /dev/null
code=$?
test $code -eq 0 || tail -c 450 "$d/said" | tr '\n' ' ' >&2
exit $code
`

// install brings the agent's package there.
func (b Bootstrap) install(client *ssh.Client) error {
	if _, err := run(client, fmt.Sprintf(installing, sha256.Sum256(b.Package)), string(b.Package)); err != nil {
		return fmt.Errorf("install the agent's package there: %w", err)
	}
	return nil
}

// requireProgram says what is missing where the agent is not there.
func (b Bootstrap) requireProgram(client *ssh.Client, program string) error {
	_, err := run(client, "test -x "+program, "")
	var absent *ended
	switch {
	case !errors.As(err, &absent):
		return err
	case b.Package != nil:
		return fmt.Errorf("the package was installed there, and there is no %s all the same: say with --program where it puts the agent", b.Program)
	}
	return fmt.Errorf("the agent is not installed there, there is no %s: give its package with --package FILE.deb, or install it there first; nothing was done yet", b.Program)
}
