package agent

import (
	"errors"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// ending says how an order ended.
type ending struct {
	Outcome   patching.Outcome `json:"outcome"`
	Reason    patching.Reason  `json:"reason"`
	Detail    string           `json:"detail"`
	Signature string           `json:"signature"`
}

func (e ending) fill(r *uplink.Receipt) {
	r.Outcome, r.Reason = e.Outcome, e.Reason
	r.Detail, r.Signature = clip(e.Detail, uplink.MaxDetail), clip(e.Signature, 200)
}

// clip shortens s to n bytes without cutting a character in two.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n - len("…")
	for cut > 0 && s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}

// endingOf words a failure of the machine. What was in the way and may be gone
// the next time defers; anything else has failed.
func endingOf(err error, fallback patching.Reason) ending {
	e := ending{Outcome: patching.Failed, Reason: fallback, Detail: clip(err.Error(), uplink.MaxDetail)}
	var f *Failure
	if errors.As(err, &f) && f.Reason.Valid() {
		e.Reason, e.Signature = f.Reason, f.Signature
		if f.Detail == "" {
			e.Detail = "" // the reason has its words
		}
	}
	defers := []patching.Reason{
		patching.ReasonLocked, patching.ReasonPlanStale, patching.ReasonHostRules,
		patching.ReasonDownload, patching.ReasonWindowOver, patching.ReasonClockOff,
	}
	if slices.Contains(defers, e.Reason) {
		e.Outcome = patching.Deferred
	}
	return e
}

// unfetched is how an order ends whose bundle or packages could not be fetched.
// Another try may go well, but for a disk that somebody has to look after.
func unfetched(err error) ending {
	if end := endingOf(err, patching.ReasonDownload); end.Reason == patching.ReasonDisk {
		return end
	}
	return ending{patching.Deferred, patching.ReasonDownload, err.Error(), ""}
}

// halfInstalled is how an order ends that left a package half installed.
func (w *work) halfInstalled(name string) ending {
	end := ending{Reason: patching.ReasonInstallFailed, Detail: name + " is half installed and could not be repaired", Signature: name + ": half installed"}
	if w.Last != nil {
		end = *w.Last
	}
	end.Outcome = patching.NeedsHands
	return end
}

// revertEnding words the end of a roll-back: it came about, or a person has to
// look after the machine, whatever kept it.
func revertEnding(e ending) ending {
	if e.Outcome == patching.Patched {
		return ending{patching.RolledBack, patching.ReasonRolledBack, e.Detail, ""}
	}
	if e.Outcome == patching.AlreadyUpToDate {
		detail := strings.TrimSpace("It had the earlier versions already. " + e.Detail)
		return ending{patching.RolledBack, patching.ReasonRolledBack, detail, ""}
	}
	detail := e.Reason.Words()
	if e.Detail != "" {
		detail += " " + e.Detail
	}
	return ending{patching.NeedsHands, patching.ReasonRollBackFailed, detail, e.Signature}
}
