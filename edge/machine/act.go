package machine

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/patching"
)

// Fetch implements [agent.Machine].
func (m *Machine) Fetch(ctx context.Context, b patching.Bundle) error {
	if err := m.settle(ctx); err != nil {
		return err
	}
	if err := m.lists(ctx); err != nil {
		return err
	}
	return failure(m.manager.Fetch(ctx, b.Patches()))
}

// Signers implements [agent.Machine].
func (m *Machine) Signers(ctx context.Context) (map[string][]string, error) {
	return m.manager.Signers(ctx)
}

// Apply implements [agent.Machine]. A transaction that an earlier process of the
// agent started for the same order is waited for, and its end is the answer.
func (m *Machine) Apply(ctx context.Context, patches []patching.Patch) error {
	if err := m.acts(); err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil { // before anything is read
		return err
	}
	if err := m.putBack(ctx, patches); err != nil {
		return err
	}
	if err := m.lists(ctx); err != nil {
		return err
	}
	if m.outside(ctx) { // the transaction cannot fetch what went missing since
		if err := m.manager.Fetch(ctx, patches); err != nil {
			return failure(err)
		}
	}
	return failure(m.manager.Install(ctx, patches))
}

// putBack refuses to install a release of the agent again that this order brought
// already, and that was put back.
func (m *Machine) putBack(ctx context.Context, patches []patching.Patch) error {
	if m.o.Releases == "" {
		return nil
	}
	r, ok, err := probation.Keeper{Home: m.o.Releases}.Read()
	order := agent.OrderOf(ctx).ID
	if err != nil || !ok || order == "" || r.Order != order || r.State != probation.PutBack {
		return err
	}
	for _, p := range patches {
		if p.Name == probation.Package && p.To == r.To {
			return &agent.Failure{
				Reason: patching.ReasonInstallFailed, Signature: probation.Package + ": does not report in",
				Detail: fmt.Sprintf("Release %s of the agent was installed and put back to %s: %s", r.To, r.From, r.Why),
			}
		}
	}
	return nil
}

// Repair implements [agent.Machine].
func (m *Machine) Repair(ctx context.Context) error {
	if err := m.acts(); err != nil {
		return err
	}
	if err := m.settle(ctx); err != nil {
		return err
	}
	return failure(m.manager.Repair(ctx))
}

// Clean implements [agent.Machine].
func (m *Machine) Clean(ctx context.Context, held []string) (int64, error) {
	if err := m.acts(); err != nil {
		return 0, err
	}
	if err := m.settle(ctx); err != nil {
		return 0, err
	}
	freed, err := m.manager.Clean(ctx, held)
	if err != nil || m.o.Lists == "" {
		return freed, failure(err)
	}
	more, err := m.forgetLists()
	return freed + more, err
}

// forgetLists removes what is known of snapshots: an order that comes to need one
// fetches its lists again.
func (m *Machine) forgetLists() (freed int64, err error) {
	names, err := filepath.Glob(filepath.Join(m.o.Lists, "*"))
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		err := filepath.WalkDir(name, func(_ string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			info, err := e.Info()
			freed += info.Size()
			return err
		})
		if err != nil {
			return freed, err
		}
		if err := os.RemoveAll(name); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

// Reboot implements [agent.Machine]. People who are logged in are told, and have
// the time of the notice. It does not wait for the restart.
func (m *Machine) Reboot(ctx context.Context) error {
	if err := m.acts(); err != nil {
		return err
	}
	// A shutdown would end a transaction, were it ever to come to that.
	if err := m.settle(ctx); err != nil {
		return err
	}
	if err := m.alone(ctx); err != nil { // nor anybody else's: whoever asked asks again
		return err
	}
	const quick = time.Minute
	if m.o.Notice > 0 {
		minutes := max(1, int(m.o.Notice/time.Minute))
		_, err := m.run(ctx, quick, "shutdown", "-r", "+"+strconv.Itoa(minutes), "patchcycle: restarting to complete "+task(ctx))
		if err == nil {
			return nil
		}
		// Without logind nobody keeps the time, nor is anybody logged in to be told.
		m.o.Log.Warn("could not give notice of the restart", zap.Error(err))
	}
	if _, err := m.run(ctx, quick, "systemctl", "reboot"); err != nil {
		return fmt.Errorf("ask for a restart: %w", err)
	}
	return nil
}

func task(ctx context.Context) string {
	if o := agent.OrderOf(ctx); o.Cycle != "" {
		return string(o.Cycle)
	}
	return "an update"
}

// acts refuses where nothing may be changed.
func (m *Machine) acts() error {
	if m.units == nil {
		return &agent.Failure{Reason: patching.ReasonHostRules, Detail: "This machine is only looked at."}
	}
	return m.units.able()
}
