package machine

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
)

// download runs a program in a unit that has the machine's network, for an agent that
// has none: apt fetches from the machine's own sources as it does for Debian's own
// apt-daily.service, and no package's script runs. It ends with whoever asked: what
// was fetched is there when it is asked for again.
func (u *units) download(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	if err := u.able(); err != nil {
		return nil, err
	}
	path, err := command.Find(program)
	if err != nil {
		return nil, err
	}
	start := []string{
		"--quiet", "--pipe", "--wait", "--collect", "--description=patchcycle: download",
		"--property=RuntimeMaxSec=" + strconv.Itoa(int(limit/time.Second)+1), "--property=PartOf=" + agentUnit,
		"--property=UMask=0022",
	}
	for _, e := range command.Environment() {
		start = append(start, "--setenv="+e)
	}
	for _, a := range args {
		if err := noVariable(program, a); err != nil {
			return nil, err
		}
	}
	out, err := u.run(ctx, limit+time.Minute, "systemd-run", append(append(start, "--", path), args...)...)
	var failed *command.Error
	if errors.As(err, &failed) {
		failed.Program = program // its words are passed on, and its exit code
	}
	if err != nil && failed == nil {
		return out, fmt.Errorf("start %s in a unit of its own: %w", program, err)
	}
	return out, err
}
