package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/host"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// unitPrefix begins the names of our units; order and try follow.
const unitPrefix = "patchcycle-op-"

func ours(unit string) bool { return strings.HasPrefix(unit, unitPrefix) }

// units runs programs in transient units of systemd's, one after the other. A
// unit outlives the agent that started it, and whoever comes next finds it by
// its name: that is on disk before the unit is started.
type units struct {
	records
	boot string
	root fs.FS
	// run starts systemctl and systemd-run.
	run  packages.Runner
	now  func() time.Time
	poll time.Duration // how often a unit is looked at
	// alone: units have the agent's own network, in which there is nothing but what
	// its courier hands out.
	alone bool
	log   *zap.Logger
}

func newUnits(dir, boot string, root fs.FS, log *zap.Logger) (*units, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("where transactions are kept: %w", err)
	}
	return &units{records: records(dir), boot: boot, root: root, run: command.Run, now: time.Now, poll: time.Second, log: log}, nil
}

// able refuses where systemd does not run the machine: a child of ours would be
// killed with us, in the middle of a package.
func (u *units) able() error {
	if host.Systemd(u.root) {
		return nil
	}
	return &agent.Failure{
		Reason: patching.ReasonPreflight, Signature: "no systemd",
		Detail: "systemd does not run this machine. A transaction needs a unit of its own to survive the agent, so nothing is installed here; patch the image or the host instead.",
	}
}

// Run is a [packages.Runner]. If the same was started for the same order by an
// agent that was killed, its end is returned instead of starting it again. What
// takes longer than the limit is left alone and told.
func (u *units) Run(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	if err := u.able(); err != nil {
		return nil, err
	}
	if err := u.settle(ctx); err != nil {
		return nil, err
	}
	all, err := u.all()
	if err != nil {
		return nil, err
	}
	order := agent.OrderOf(ctx).ID
	for _, r := range all {
		if r.Seen {
			continue
		}
		if r.Boot == u.boot && r.Order == order && r.covers(program, args) {
			if out, ended, err := u.result(ctx, r); ended {
				u.log.Info("took up what an earlier agent had started", zap.String("unit", r.Unit))
				return out, err
			}
		}
		// Of another boot, of something else, or never begun: what it came to shows
		// in the packages.
		if err := u.forget(ctx, r); err != nil {
			return nil, err
		}
	}
	r := record{Unit: u.name(order, all), Order: order, Boot: u.boot, Program: program, Args: args, Started: u.now().UTC(), Limit: limit}
	if err := u.start(ctx, r); err != nil {
		return nil, err
	}
	if err := u.await(ctx, r); err != nil {
		return nil, err
	}
	out, ended, err := u.result(ctx, r)
	if !ended {
		return nil, errors.Join(u.forget(ctx, r), command.Failed(program, -1, errors.New("its unit was gone before it began")))
	}
	return out, err
}

// properties of a unit. There is no sandbox: apt takes a mount namespace of its
// own for a chroot, and then ignores the phases of updates. Nothing ends a
// transaction: a stop, as at a shutdown, waits for it, and leaves alone what its
// scripts started. The unit stays when the program has ended, to be asked.
var properties = []string{
	"Type=exec", "RemainAfterExit=yes", "StandardInput=null", "StandardError=inherit",
	"KillMode=process", "KillSignal=SIGCONT", "SendSIGKILL=no", "TimeoutStopSec=30min",
}

// ownNetwork gives a unit the agent's own network. By itself that makes no mount
// namespace with systemd 252, which apt would take for a chroot; later ones have to be
// told.
var ownNetwork = []string{"PrivateNetwork=yes", "PrivateMounts=no", "JoinsNamespaceOf=" + agentUnit}

// start writes the unit down and starts it.
func (u *units) start(ctx context.Context, r record) error {
	path, err := command.Find(r.Program)
	if err != nil {
		return err
	}
	for _, a := range r.Args {
		if err := noVariable(r.Program, a); err != nil {
			return err
		}
	}
	if err := u.put(r); err != nil {
		return err
	}
	args := []string{"--quiet", "--unit=" + r.Unit, "--description=patchcycle: " + r.Program + " for order " + string(r.Order)}
	with := append(slices.Clone(properties), "StandardOutput=file:"+u.output(r))
	if u.alone {
		with = append(with, ownNetwork...)
	}
	for _, p := range with {
		args = append(args, "--property="+p)
	}
	for _, e := range command.Environment() {
		args = append(args, "--setenv="+e)
	}
	if r.Order != "" { // for the script of the agent's own package
		args = append(args, "--setenv="+probation.OrderVariable+"="+string(r.Order))
	}
	if _, err := u.run(ctx, time.Minute, "systemd-run", append(append(args, "--", path), r.Args...)...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // it may have been started: the record stays
		}
		err = fmt.Errorf("start %s in a unit of its own: %w", r.Program, err)
		begun, unknown := u.begun(ctx, r)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case unknown != nil:
			return errors.Join(err, unknown) // it may be at work: the record stays
		case !begun:
			return errors.Join(err, u.forget(ctx, r))
		}
		u.log.Warn("a unit was started although systemd-run failed", zap.String("unit", r.Unit), zap.Error(err))
	}
	return nil
}

func noVariable(program, arg string) error {
	if strings.Contains(arg, "$") {
		return fmt.Errorf("%s: systemd would replace the variable in the argument %q", program, arg)
	}
	return nil
}

// begun reports whether a unit whose start seemed to fail is at work, or has
// been: systemd-run may only have lost its line to systemd. A unit that has
// ended counts if it made this output, which one left over of the same name did
// not, and if it got as far as its program: systemd's own exit statuses begin at
// 200.
func (u *units) begun(ctx context.Context, r record) (bool, error) {
	s, err := u.show(ctx, r)
	if err != nil || s["LoadState"] != "loaded" {
		return false, err
	}
	if isRunning(s["ActiveState"], s["SubState"]) {
		return true, nil
	}
	_, missing := os.Stat(u.output(r))
	status, _ := strconv.Atoi(s["ExecMainStatus"])
	return missing == nil && s["ActiveState"] != "inactive" && status < 200, nil
}

// patience is how often in a row systemd may not answer: it starts itself anew
// when it is upgraded.
const patience = 60

// ask runs systemctl until systemd answers.
func (u *units) ask(ctx context.Context, what string, args ...string) ([]byte, error) {
	for failures := 0; ; {
		out, err := u.run(ctx, time.Minute, "systemctl", args...)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			return out, nil
		}
		if failures++; failures > patience {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-time.After(u.poll):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// settle waits until no unit of ours runs.
func (u *units) settle(ctx context.Context) error {
	if !host.Systemd(u.root) {
		return nil
	}
	out, err := u.ask(ctx, "look for transactions under way", "list-units", "--all", "--no-legend", "--plain", "--no-pager", unitPrefix+"*.service")
	if err != nil {
		return err
	}
	all, err := u.all()
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) < 4 || !ours(f[0]) || !isRunning(f[2], f[3]) {
			continue
		}
		r := record{Unit: strings.TrimSuffix(f[0], ".service"), Started: u.now(), Limit: 2 * time.Hour}
		if i := slices.IndexFunc(all, func(known record) bool { return known.Unit == r.Unit }); i >= 0 {
			r = all[i]
		}
		u.log.Info("waiting for a transaction that is under way", zap.String("unit", r.Unit))
		if err := u.await(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// isRunning judges a unit by its state and the one below it.
func isRunning(active, sub string) bool {
	switch active {
	case "activating", "deactivating", "reloading":
		return true
	case "active":
		return sub != "exited"
	}
	return false
}

// await returns when the unit's program has ended, or was never begun.
func (u *units) await(ctx context.Context, r record) error {
	for {
		s, err := u.show(ctx, r)
		if err != nil {
			return err
		}
		if !isRunning(s["ActiveState"], s["SubState"]) {
			return nil
		}
		if end := r.Started.Add(r.Limit); u.now().After(end) {
			return &agent.Failure{
				Reason: patching.ReasonUnknown, Signature: "transaction: does not end",
				Detail: fmt.Sprintf("%s has been at work since %s and is left alone: see systemctl status %s, and what it said in %s.",
					r.Unit, r.Started.Format(time.RFC3339), r.Unit, u.output(r)),
			}
		}
		select {
		case <-time.After(u.poll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// show asks for a unit's state.
func (u *units) show(ctx context.Context, r record) (map[string]string, error) {
	out, err := u.ask(ctx, "ask for the transaction "+r.Unit, "show", r.Unit+".service",
		"--property=LoadState,ActiveState,SubState,ExecMainCode,ExecMainStatus")
	if err != nil {
		return nil, err
	}
	s := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			s[name] = value
		}
	}
	return s, nil
}

// result returns what a unit that has ended said and how it ended, and takes it
// off. A unit that is gone, although it had begun, was cut off.
func (u *units) result(ctx context.Context, r record) (out []byte, ended bool, err error) {
	s, err := u.show(ctx, r)
	if err != nil {
		return nil, true, err
	}
	out, err = u.said(r)
	gone := s["ActiveState"] != "active" && s["ActiveState"] != "failed"
	switch {
	case errors.Is(err, fs.ErrNotExist) && gone:
		return nil, false, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, true, fmt.Errorf("read what %s said: %w", r.Unit, err)
	}
	err = ending(r.Program, gone, s["ExecMainCode"], s["ExecMainStatus"])
	return out, true, errors.Join(u.forget(ctx, r), err)
}

// ending words how a program ended: code 1 is by itself, others are by a signal
// (siginfo's CLD_EXITED, CLD_KILLED, CLD_DUMPED).
func ending(program string, gone bool, code, status string) error {
	n, err := strconv.Atoi(status)
	switch {
	case gone:
		return command.Failed(program, -1, errors.New("its unit was stopped"))
	case code != "1" || err != nil:
		return command.Failed(program, -1, fmt.Errorf("ended by signal %s", status))
	case n != 0:
		return command.Failed(program, n, fmt.Errorf("exit status %d", n))
	}
	return nil
}

// forget marks a unit as seen, and takes it off systemd's list. That it is still
// there would harm nobody.
func (u *units) forget(ctx context.Context, r record) error {
	r.Seen = true
	if err := u.put(r); err != nil {
		return err
	}
	if r.Boot != u.boot {
		return nil
	}
	for _, verb := range []string{"stop", "reset-failed"} {
		if _, err := u.run(ctx, time.Minute, "systemctl", verb, r.Unit+".service"); err != nil {
			u.log.Debug("could not take a unit off", zap.String("unit", r.Unit), zap.Error(err))
		}
	}
	return nil
}

// name returns the next name for an order.
func (u *units) name(order patching.OrderID, all []record) string {
	start := unitPrefix + unitWord(string(order)) + "-"
	last := 0
	for _, r := range all {
		if rest, ok := strings.CutPrefix(r.Unit, start); ok {
			n, _ := strconv.Atoi(rest)
			last = max(last, n)
		}
	}
	return start + strconv.Itoa(last+1)
}

// unitWord makes an order's id fit for the name of a unit; ids of ours do as
// they are.
func unitWord(id string) string {
	if id == "" {
		return "none"
	}
	word := strings.Map(func(r rune) rune {
		if r < 128 && (r == '.' || r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, id)
	if word != id || len(word) > 100 { // two ids never share a word
		word = word[:min(len(word), 40)] + "." + strings.TrimPrefix(string(patching.DigestOf([]byte(id))), "sha256:")[:16]
	}
	return word
}

// output is the file that a unit's program writes to: both of its streams, in
// the order in which it wrote.
func (u *units) output(r record) string { return filepath.Join(string(u.records), r.Unit+".out") }

// said reads the end of what a unit said.
func (u *units) said(r record) ([]byte, error) {
	f, err := os.Open(u.output(r))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > command.MaxOutput {
		if _, err := f.Seek(info.Size()-command.MaxOutput, 0); err != nil {
			return nil, err
		}
	}
	out := make([]byte, 0, 64<<10)
	buf := make([]byte, 64<<10)
	for len(out) < 2*command.MaxOutput {
		n, err := f.Read(buf)
		out = append(out, buf[:n]...)
		if err != nil {
			break // the end
		}
	}
	return out, nil
}
