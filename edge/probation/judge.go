package probation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// LineDown is the exit code of a knock that nobody answered: the line's fault, and no
// release's.
const LineDown = 4

// triesMost is how often putting back is tried, a minute apart: somebody else may have
// dpkg's lock for long.
const triesMost = 30

// Verdict is what a judge did.
type Verdict string

const (
	// Nothing says that there was nothing to judge, or not any more.
	Nothing Verdict = "nothing to judge"
	// Waits says that the release of before does not reach the server either.
	Waits Verdict = "waits for the line"
	// Again says that putting back failed, and is tried again.
	Again Verdict = "tries again"
	// Back says that the release of before is installed again.
	Back Verdict = "put back"
	// GaveUp says that putting back failed too often.
	GaveUp Verdict = "gave up"
)

// Judge is for when the time is over: it puts the release of before back unless that
// would reach the server no more than the new one does. Reaches says whether anybody
// answers there; its error, that this cannot be said.
func (k Keeper) Judge(ctx context.Context, reaches func(context.Context) (bool, error)) (Verdict, error) {
	k = k.withDefaults()
	r, ok, err := k.Read()
	if err != nil {
		return Nothing, err
	}
	if !ok || r.State != Open {
		return Nothing, k.disarm(ctx)
	}
	version, status, err := k.installed(ctx)
	silent := fmt.Sprintf("it had not reported in %s after it was installed.", k.Now().Sub(r.Began).Round(time.Second))
	switch {
	case err != nil:
		return Again, err
	case status == "installed" && version == r.From && k.cutOff():
		return Back, k.end(ctx, r, PutBack, silent)
	case status == "installed" && version == r.From:
		return Nothing, k.end(ctx, r, Void, "dpkg did not replace it.")
	case status == "installed" && version != r.To:
		return Nothing, k.end(ctx, r, Void, "somebody installed "+version+".")
	case status == "config-files" || status == "not-installed":
		return Nothing, k.end(ctx, r, Void, "somebody removed it.")
	}
	if answered, err := reaches(ctx); err == nil && !answered {
		return Waits, nil
	}
	r.Tries++
	back := k.putBack(ctx)
	if back == nil {
		return Back, k.end(ctx, r, PutBack, silent)
	}
	r.Why = oneLine(back)
	if r.Tries >= triesMost {
		return GaveUp, errors.Join(back, k.end(ctx, r, Stuck, r.Why))
	}
	return Again, errors.Join(back, k.write(r))
}

// Back puts the release of before back because somebody wants it.
func (k Keeper) Back(ctx context.Context) (Record, error) {
	k = k.withDefaults()
	r, ok, err := k.Read()
	if err != nil {
		return r, err
	}
	if _, missing := os.Stat(k.file(packageFile)); !ok || missing != nil {
		return r, errors.New("no release of before is kept: the agent was not upgraded here yet")
	}
	version, status, err := k.installed(ctx)
	if err != nil {
		return r, err
	}
	if status == "installed" && version == r.From {
		return r, fmt.Errorf("release %s is installed, the one that is kept", version)
	}
	if err := k.putBack(ctx); err != nil {
		return r, err
	}
	r.To = version
	err = k.end(ctx, r, PutBack, "somebody wanted it so.")
	r, _, _ = k.Read()
	return r, err
}

// putBack installs the kept package. Its own script starts the agent.
func (k Keeper) putBack(ctx context.Context) error {
	if err := os.WriteFile(k.file(busyFile), nil, 0o600); err != nil {
		return err
	}
	defer os.Remove(k.file(busyFile))
	_, err := k.Run(ctx, 10*time.Minute, "dpkg", "--force-confold", "--force-downgrade", "--install", k.file(packageFile))
	return err
}

// cutOff reports whether the power went while a release was put back: the sign of it is
// then still there. It is taken away, for it would keep the next release off probation.
func (k Keeper) cutOff() bool { return os.Remove(k.file(busyFile)) == nil }

func oneLine(err error) string {
	words := strings.Join(strings.Fields(err.Error()), " ")
	return words[:min(len(words), 500)]
}

// The units by which systemd lets the kept program judge. They are written to where an
// administrator's are, for they are of no package and last over restarts.
const (
	unitFolder = "etc/systemd/system"
	serviceOf  = "patchcycle-probation.service"
	timerOf    = "patchcycle-probation.timer"
)

const serviceText = `# Made by the agent's package when it was upgraded; goes when the new release reports in.
[Unit]
Description=patchcycle: does the agent's new release report in?
Documentation=https://github.com/patchcycle/patchcycle

[Service]
Type=oneshot
EnvironmentFile=-/etc/default/patchcycle-agent
ExecStart=%[1]s/release/patchcycle-agent --home %[1]s release judge $PATCHCYCLE_AGENT_OPTIONS
# dpkg is at work in it: nothing ends that half-way.
TimeoutStartSec=20min
KillMode=process
KillSignal=SIGCONT
SendSIGKILL=no
`

const timerText = `# Made by the agent's package when it was upgraded; goes when the new release reports in.
[Unit]
Description=patchcycle: does the agent's new release report in?

[Timer]
OnActiveSec=%d
OnUnitInactiveSec=60
AccuracySec=1

[Install]
WantedBy=timers.target
`

func (k Keeper) unit(name string) string { return filepath.Join(k.Root, unitFolder, name) }

func (k Keeper) wanted() string {
	return filepath.Join(k.Root, unitFolder, "timers.target.wants", timerOf)
}

// arm has systemd run the judge after a while, also after a restart.
func (k Keeper) arm(ctx context.Context, limit time.Duration) error {
	if err := os.MkdirAll(filepath.Dir(k.wanted()), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(k.unit(serviceOf), fmt.Appendf(nil, serviceText, k.Home), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(k.unit(timerOf), fmt.Appendf(nil, timerText, int(limit/time.Second)), 0o644); err != nil {
		return err
	}
	_ = os.Remove(k.wanted())
	if err := os.Symlink("../"+timerOf, k.wanted()); err != nil {
		return err
	}
	if _, err := k.Run(ctx, time.Minute, "systemctl", "daemon-reload"); err != nil {
		return err
	}
	_, err := k.Run(ctx, time.Minute, "systemctl", "restart", timerOf)
	return err
}

// disarm takes the judge off. It may be the judge that does.
func (k Keeper) disarm(ctx context.Context) error {
	var all []error
	for _, file := range []string{k.wanted(), k.unit(timerOf), k.unit(serviceOf)} {
		if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
			all = append(all, err)
		}
	}
	_, stopped := k.Run(ctx, time.Minute, "systemctl", "stop", timerOf)
	_, reloaded := k.Run(ctx, time.Minute, "systemctl", "daemon-reload")
	if stopped != nil && reloaded != nil {
		all = append(all, stopped)
	}
	return errors.Join(all...)
}
