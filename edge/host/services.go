package host

import (
	"context"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/command"
)

// Systemd reports whether systemd runs the machine, as sd_booted(3) tells.
func Systemd(root fs.FS) bool {
	_, err := fs.Stat(root, "run/systemd/system")
	return !errors.Is(err, fs.ErrNotExist)
}

// CarriesPatchcycle reports whether a server or relay of patchcycle's is to run on the
// machine: whether a unit of that name is enabled, in which of systemd's folders ever.
func CarriesPatchcycle(root fs.FS) bool {
	for _, unit := range []string{"patchcycle.service", "patchcycle-relay.service"} {
		found, err := fs.Glob(root, "etc/systemd/system/*.wants/"+unit)
		if err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// Failing returns the units that should run and do not, sorted. One that systemd
// starts again and again counts: it is never "failed" for long. Without systemd
// nothing is known to fail.
func Failing(ctx context.Context, root fs.FS) ([]string, error) {
	if !Systemd(root) {
		return nil, nil
	}
	out, err := command.Run(ctx, time.Minute, "systemctl", "list-units", "--state=failed,auto-restart", "--no-legend", "--plain", "--no-pager")
	if err != nil {
		return nil, err
	}
	return parseUnits(out), nil
}

// parseUnits reads systemctl's list:
//
//	tb-svc.service loaded failed failed tb
func parseUnits(out []byte) []string {
	var units []string
	for l := range strings.Lines(string(out)) {
		if f := strings.Fields(l); len(f) >= 4 {
			units = append(units, f[0])
		}
	}
	slices.Sort(units)
	return units
}

// Restarts counts how often systemd started each service again after it died, since
// it was last started on purpose; those that never died are left out. Nil without
// systemd, or with one before 235, which does not count.
func Restarts(ctx context.Context, root fs.FS) (map[string]int, error) {
	if !Systemd(root) {
		return nil, nil
	}
	out, err := command.Run(ctx, time.Minute, "systemctl", "show", "--property=Id", "--property=NRestarts", "--no-pager", "*.service")
	if err != nil {
		return nil, err
	}
	return parseRestarts(out), nil
}

// parseRestarts reads what systemctl shows of units, a paragraph each, its lines in
// any order:
//
//	NRestarts=3
//	Id=tb-svc.service
func parseRestarts(out []byte) map[string]int {
	var counts map[string]int
	for unit := range strings.SplitSeq(string(out), "\n\n") {
		id, n, counted := "", 0, false
		for l := range strings.Lines(unit) {
			key, value, _ := strings.Cut(strings.TrimSpace(l), "=")
			switch key {
			case "Id":
				id = value
			case "NRestarts":
				var err error
				n, err = strconv.Atoi(value)
				counted = err == nil
			}
		}
		if counted && counts == nil {
			counts = map[string]int{}
		}
		if counted && id != "" && n > 0 {
			counts[id] = n
		}
	}
	return counts
}

// updaters are other programs that patch a machine, by the file that shows that
// they are switched on; where a setting decides, by what it must say. What works
// through a package manager that we speak to is asked there.
var updaters = []struct {
	name, file string
	setting    *regexp.Regexp
	in         string
}{
	{name: "dnf-automatic", file: wanted + "dnf-automatic-install.timer"},
	{name: "dnf-automatic", file: wanted + "dnf-automatic.timer", setting: applies, in: "etc/dnf/automatic.conf"},
	{name: "dnf-automatic", file: wanted + "dnf5-automatic.timer", setting: applies, in: "etc/dnf/automatic.conf"},
	{name: "yum-cron", file: "etc/systemd/system/multi-user.target.wants/yum-cron.service", setting: applies, in: "etc/yum/yum-cron.conf"},
	{name: "transactional-update", file: wanted + "transactional-update.timer"},
	{name: "landscape", file: "etc/landscape/client.conf"},
}

const wanted = "etc/systemd/system/timers.target.wants/"

// Without it they download or tell, but install nothing.
var applies = regexp.MustCompile(`(?mi)^\s*apply_updates\s*=\s*(yes|true|on|1)\s*$`)

func readUpdaters(root fs.FS) []string {
	var found []string
	for _, u := range updaters {
		if _, err := fs.Lstat(root, u.file); err != nil {
			continue
		}
		if u.setting != nil {
			text, err := fs.ReadFile(root, u.in)
			if err != nil || !u.setting.Match(text) {
				continue
			}
		}
		found = append(found, u.name)
	}
	slices.Sort(found)
	return slices.Compact(found)
}
