package diagnose

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// fleet is what tests build cells from: a machine each.
type fleet []Cell

// cell is a machine that was patched at a site with one relay.
func cell(site, agent, release string, bundle patching.Digest) Cell {
	return Cell{
		Relay: "relay-" + site, Site: patching.SiteName(site), Agent: agent, OS: release, Rule: "daily 22:00 for 4h", Ring: "broad",
		Bundle: bundle, Released: true, Answered: true, Outcome: patching.Patched, Reason: patching.ReasonVerified, Machines: 1,
	}
}

func (c Cell) failed(r patching.Reason, signature string) Cell {
	c.Outcome, c.Reason, c.Signature = patching.Failed, r, signature
	return c
}

// bundles are what the tests' machines were to install.
var bundles = map[patching.Digest][]string{
	"base":  {"bash", "curl", "openssl", "tzdata", "zlib"},
	"nginx": {"bash", "curl", "nginx", "openssl", "tzdata", "zlib"},
	"alone": {"bash"},
}

func packagesOf(d patching.Digest) []string { return bundles[d] }

func diagnosed(f fleet) Diagnosis { return Of(f, packagesOf, Defaults()) }

// sites has n machines at each of several sites.
func sites(names []string, n int) fleet {
	var f fleet
	for _, s := range names {
		for i := range n {
			f = append(f, cell(s, []string{"0.1", "0.2"}[i%2], []string{"debian 11", "debian 12"}[i/2%2], "base"))
		}
	}
	return f
}

var fiveSites = []string{"ams", "ber", "cdg", "dub", "edi"}

// Serves Q5, Q8: a dead relay is told from a bad patch.
func TestFailuresUnderOneRelayAreTheRelays(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		if f[i].Relay == "relay-cdg" {
			f[i].Outcome, f[i].Reason, f[i].Answered = patching.Unreachable, patching.ReasonPathDown, false
		}
	}
	f[3] = f[3].failed(patching.ReasonDisk, "")
	d := diagnosed(f)
	require.Len(t, d.Causes, 1)
	c := d.Causes[0]
	require.Equal(t, KindRelay, c.Kind)
	require.Equal(t, "relay-cdg", c.Name)
	require.Equal(t, []Group{{KindSite, "cdg"}}, c.Same, "the site has no other relay: its line could be it too")
	require.Equal(t, patching.CauseRelay, c.LaidTo)
	require.Equal(t, []int{20, 20, 1, 80}, []int{c.InsideFailed, c.Inside, c.OutsideFailed, c.Outside})
	require.Less(t, c.P, 1e-15)
	require.Equal(t, []Count{{patching.ReasonDisk, patching.CauseDevice, 1}}, d.Single, "the full disk is its machine's own")
	require.Equal(t, "21 of 100 machines failed. Of 20 machines behind the relay relay-cdg 20 failed, of the others 1 of 80: "+
		"by chance that happens less than once in 1,000,000 times. The same machines share the site cdg, so it can be that as well. "+
		"1 failure beyond that share nothing: each is its machine's own.", d.Words())
}

// Serves Q5: two relays at a site, and the line is cut.
func TestASiteWhoseRelaysAllFailIsTheSite(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		f[i].Relay += fmt.Sprint(i % 2)
		if f[i].Site == "dub" {
			f[i] = f[i].failed(patching.ReasonDownload, "")
		}
	}
	d := diagnosed(f)
	require.Len(t, d.Causes, 1)
	require.Equal(t, Group{KindSite, "dub"}, Group{d.Causes[0].Kind, d.Causes[0].Name})
	require.Empty(t, d.Causes[0].Same)
}

// Serves Q6: failures that look random over sites are one version's.
func TestFailuresOfOneAgentVersionAreTheAgents(t *testing.T) {
	f := sites(fiveSites, 20)
	broken := 0
	for i := range f {
		if f[i].Agent == "0.2" && i%4 == 1 {
			f[i], broken = f[i].failed(patching.ReasonRefused, "order refused"), broken+1
		}
	}
	d := diagnosed(f)
	require.Equal(t, 25, broken)
	require.Len(t, d.Causes, 1)
	require.Equal(t, Group{KindAgent, "0.2"}, Group{d.Causes[0].Kind, d.Causes[0].Name})
	require.Equal(t, patching.CauseAgent, d.Causes[0].LaidTo)
}

// Serves Q8.
func TestFailuresOfMachinesThatWereToGetAPackageAreThePackages(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		if i%5 == 0 {
			f[i].Bundle = "nginx"
			if i%2 == 0 {
				f[i] = f[i].failed(patching.ReasonServiceBroken, "nginx.service does not run")
			}
		}
	}
	d := diagnosed(f)
	require.Len(t, d.Causes, 1)
	require.Equal(t, Group{KindPackage, "nginx"}, Group{d.Causes[0].Kind, d.Causes[0].Name})
}

// Serves Q8: where all machines get the same, no group stands out, but failures
// name what failed.
func TestFailuresThatNameOnePackageOfManyAreThePackages(t *testing.T) {
	f := sites(fiveSites, 20)
	for _, i := range []int{3, 22, 41, 67, 80} {
		f[i] = f[i].failed(patching.ReasonInstallFailed, "openssl: postinst")
	}
	d := diagnosed(f)
	require.Len(t, d.Causes, 1)
	c := d.Causes[0]
	require.Equal(t, Group{KindNamed, "openssl"}, Group{c.Kind, c.Name})
	require.InDelta(t, 1, c.By, 1e-9)
	require.Equal(t, "5 of 5 failures name the package openssl, where chance would name it once: by chance that happens less than once in 1,000 times.", c.Words())
}

// A full disk stops whichever package comes first.
func TestWhatAFullDiskStopsIsNotThePackages(t *testing.T) {
	f := sites(fiveSites, 20)
	for _, i := range []int{3, 22, 41, 67, 80} {
		f[i] = f[i].failed(patching.ReasonDisk, "openssl: no space left on device")
	}
	require.Empty(t, diagnosed(f).Causes)
}

// With one package in the bundle there is nothing to compare it with.
func TestOfABundleOfOnePackageNothingIsClaimed(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		f[i].Bundle = "alone"
		if i%3 == 0 {
			f[i] = f[i].failed(patching.ReasonInstallFailed, "bash: postinst")
		}
	}
	require.Empty(t, diagnosed(f).Causes)
}

// Serves Q7.
func TestFailuresOfOneWindowAreThePolicys(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		if i%7 < 2 {
			f[i].Rule = "weekly sun 02:00 for 30m"
			if i%7 == 0 {
				f[i] = f[i].failed(patching.ReasonPreflight, "")
			}
		}
	}
	d := diagnosed(f)
	require.Len(t, d.Causes, 1)
	require.Equal(t, Group{KindRule, "weekly sun 02:00 for 30m"}, Group{d.Causes[0].Kind, d.Causes[0].Name})
	require.Equal(t, patching.CausePolicy, d.Causes[0].LaidTo)
}

// Serves Q8: two faults at once are both found, and what merely shares machines
// with them is not.
func TestTwoCausesAreFoundOneAfterTheOther(t *testing.T) {
	f := sites(fiveSites, 40)
	for i := range f {
		switch {
		case f[i].Site == "ams":
			f[i].Outcome, f[i].Reason, f[i].Answered = patching.Unreachable, patching.ReasonPathDown, false
		case f[i].OS == "debian 11" && i%3 == 0:
			f[i] = f[i].failed(patching.ReasonServiceBroken, "")
		}
	}
	d := diagnosed(f)
	require.Len(t, d.Causes, 2)
	require.Equal(t, "relay-ams", d.Causes[0].Name)
	require.Equal(t, Group{KindRelease, "debian 11"}, Group{d.Causes[1].Kind, d.Causes[1].Name})
	require.Equal(t, 160, d.Causes[1].Inside+d.Causes[1].Outside, "looked for among the machines that the first one leaves")
	require.Empty(t, d.Single)
}

// Serves Q8: one bad machine is told from a systemic fault.
func TestTwoFailuresAreTheirMachinesOwn(t *testing.T) {
	f := sites(fiveSites, 20)
	f[41], f[42] = f[41].failed(patching.ReasonInstallFailed, "zlib: postinst"), f[42].failed(patching.ReasonDisk, "")
	d := diagnosed(f)
	require.Empty(t, d.Causes)
	require.Equal(t, "2 of 100 machines failed. They are too few to have something in common: each is its machine's own.", d.Words())
	require.Equal(t, []Count{{patching.ReasonDisk, patching.CauseDevice, 1}, {patching.ReasonInstallFailed, patching.CausePackage, 1}}, d.Single)
}

// A difference that nobody would act upon is no cause, however sure it is.
func TestASmallDifferenceInALargeFleetIsNoCause(t *testing.T) {
	patched, failing := cell("ams", "", "", ""), cell("ams", "", "", "").failed(patching.ReasonDisk, "")
	f := fleet{patched, failing, patched, failing}
	f[2].Site, f[2].Relay, f[3].Site, f[3].Relay = "ber", "relay-ber", "ber", "relay-ber"
	f[0].Machines, f[1].Machines, f[2].Machines, f[3].Machines = 98_500, 1_500, 99_000, 1_000
	require.Less(t, logTail(1500, 100_000, 2500, 200_000), math.Log(1e-20))
	require.Empty(t, diagnosed(f).Causes)
	f[2].Machines, f[3].Machines = 99_500, 500
	require.Len(t, diagnosed(f).Causes, 1)
}

// Serves Q8: what the cycle did not reach is the process's, and no failure.
func TestMachinesThatWereNotReachedAreCountedByTheirReasons(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range 30 {
		f[i].Released, f[i].Answered = false, false
		f[i].Outcome, f[i].Reason = patching.Deferred, patching.ReasonWindowOver
	}
	f[30].Outcome, f[30].Reason = patching.RolledBack, patching.ReasonRolledBack
	d := diagnosed(f)
	require.Equal(t, []int{69, 0}, []int{d.Tried, d.Failed})
	require.Equal(t, []Count{{patching.ReasonWindowOver, patching.CauseProcess, 30}}, d.Missed)
	require.Empty(t, d.Words())
}

// A machine that says itself that something was in its way has failed, one that
// a person took out has not.
func TestWhoDefersMattersForWhatCountsAsFailed(t *testing.T) {
	c := cell("ams", "", "", "")
	c.Outcome, c.Reason = patching.Deferred, patching.ReasonDownload
	require.True(t, c.Failed())
	c.Reason = patching.ReasonRemoved
	require.False(t, c.Failed())
	require.False(t, c.Tried())
}

func TestChancesAreThoseOfTheBooks(t *testing.T) {
	// R. A. Fisher's lady tasting tea: 4 of 4 cups out of 8, one in 70.
	require.InDelta(t, 1.0/70, math.Exp(logTail(4, 4, 4, 8)), 1e-12)
	require.InDelta(t, 17.0/70, math.Exp(logTail(3, 4, 4, 8)), 1e-12)
	require.InDelta(t, 1, math.Exp(logTail(0, 4, 4, 8)), 1e-12)
	require.True(t, math.IsInf(logTail(5, 4, 9, 20), -1))
	require.InDelta(t, 11.0/1024, math.Exp(logBinomial(9, 10, 0.5)), 1e-12)
	require.InDelta(t, 1, math.Exp(logBinomial(3, 3, 1)), 1e-12)
	// A million machines: the sum over all that can be is 1.
	require.InDelta(t, 1, math.Exp(logTail(1, 5_000, 1_000, 1_000_000))+math.Exp(logChoose(995_000, 1_000)-logChoose(1_000_000, 1_000)), 1e-6)
}

// Serves Q5, Q8: a patch that breaks what only one site has is no dead relay.
func TestWhatBreaksAtOneSiteIsThePathsOnlyIfItsMachinesSaySo(t *testing.T) {
	f := sites(fiveSites, 20)
	for i := range f {
		if f[i].Site == "cdg" {
			f[i] = f[i].failed(patching.ReasonServiceBroken, "till.service does not run")
		}
	}
	tally := patching.Tally{
		Planned: 100, Released: 100, Answered: 100, Outcomes: map[patching.Outcome]int{patching.Patched: 80, patching.Failed: 20},
		Signatures: []patching.SignatureCount{{Signature: "till.service does not run", Count: 20}},
	}
	d := diagnosed(f)
	require.Equal(t, patching.CausePackage, d.Causes[0].LaidTo)
	require.Contains(t, d.Causes[0].Procedure(), "the path to them works, and it is the patch that failed there")
	require.Equal(t, tally, d.Excuse(tally, f), "nothing of it is excused")

	for i := range f {
		if f[i].Site == "cdg" {
			f[i] = f[i].failed(patching.ReasonUntrusted, "untrusted")
		}
	}
	tally.Signatures[0] = patching.SignatureCount{Signature: "untrusted", Count: 21}
	f[0] = f[0].failed(patching.ReasonUntrusted, "untrusted")
	tally.Outcomes = map[patching.Outcome]int{patching.Patched: 79, patching.Failed: 21}
	d = diagnosed(f)
	require.Equal(t, patching.CauseRelay, d.Causes[0].LaidTo)
	got := d.Excuse(tally, f)
	require.Equal(t, 1, got.Bad(), "the same failure elsewhere still counts")
	require.Equal(t, []int{80, 80, 80}, []int{got.Planned, got.Released, got.Answered})
	require.Equal(t, []patching.SignatureCount{{Signature: "untrusted", Count: 1}}, got.Signatures)
	require.Equal(t, 21, tally.Bad(), "the tally itself stays as it is")
}

// Serves Q8: a machine's task names what it shares with others.
func TestAMachineSharesTheCausesOfItsGroups(t *testing.T) {
	d := Diagnosis{Causes: []Cause{{Kind: KindRelay, Name: "relay-ams"}, {Kind: KindPackage, Name: "nginx"}, {Kind: KindNamed, Name: "openssl"}}}
	c := cell("ams", "", "", "nginx")
	require.Equal(t, d.Causes[:2], d.Shared(c, packagesOf("nginx")))
	require.Equal(t, d.Causes[2:], d.Shared(cell("ber", "", "", "base").failed(patching.ReasonInstallFailed, "openssl: postinst"), packagesOf("base")))
	require.Empty(t, d.Shared(cell("ber", "", "", "base"), packagesOf("base")))
}

// The table is closed: every kind has its remedies, and ends with a person.
func TestEveryKindOfCauseEndsInATaskWithAProcedure(t *testing.T) {
	for _, k := range Kinds() {
		steps := Cause{Kind: k, Name: "this", LaidTo: k.LaidTo()}.Remedies()
		require.NotEmpty(t, steps, k)
		require.Equal(t, StepTask, steps[len(steps)-1], k)
		require.Contains(t, Cause{Kind: k, Name: "this", LaidTo: k.LaidTo()}.Procedure(), "this", k)
		require.NotEmpty(t, k.LaidTo(), k)
	}
}

// Serves Q4.
func TestWhatWasLeftHalfDoneIsRepairedAndTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		outcome   patching.Outcome
		reason    patching.Reason
		signature string
		want      []Step
	}{
		"half installed":             {patching.NeedsHands, patching.ReasonInstallFailed, "nginx: postinst", []Step{StepRepair, StepAgain}},
		"interrupted":                {patching.Failed, patching.ReasonInstallFailed, "interrupted", []Step{StepRepair, StepAgain}},
		"broken by others before":    {patching.Failed, patching.ReasonHalfInstalled, "", []Step{StepRepair, StepAgain}},
		"locked":                     {patching.Deferred, patching.ReasonLocked, "", []Step{StepWait, StepAgain}},
		"not fetched":                {patching.Deferred, patching.ReasonDownload, "", []Step{StepWait, StepAgain}},
		"a transaction that failed":  {patching.Failed, patching.ReasonInstallFailed, "nginx: preinst", nil},
		"a full disk":                {patching.Failed, patching.ReasonDisk, "", nil},
		"it did not come back":       {patching.NeedsHands, patching.ReasonNoBoot, "", nil},
		"its service does not run":   {patching.Failed, patching.ReasonServiceBroken, "", nil},
		"a person took it out":       {patching.Deferred, patching.ReasonRemoved, "", nil},
		"a machine that kept silent": {patching.Unreachable, patching.ReasonSilent, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, Mend(c.outcome, c.reason, c.signature))
		})
	}
}

// Serves Q4: one more try, within the window, and only as the machine's own rules allow.
func TestAMachineIsTriedAgainIfItStartedAnsweredAndHasTheTime(t *testing.T) {
	now := time.Date(2026, 11, 20, 23, 0, 0, 0, time.UTC)
	half := patching.Deployment{
		Released: now.Add(-time.Hour), Answered: now.Add(-time.Minute),
		Outcome: patching.NeedsHands, Reason: patching.ReasonInstallFailed, Signature: "nginx: postinst",
	}
	half.End = now.Add(LeastTry)
	locked := half
	locked.Outcome, locked.Reason, locked.Signature = patching.Deferred, patching.ReasonLocked, ""
	for name, c := range map[string]struct {
		of        patching.Deployment
		change    func(*patching.Deployment)
		mayRepair bool
		want      []Step
	}{
		"half installed, and may be repaired":     {of: half, mayRepair: true, want: []Step{StepRepair, StepAgain}},
		"half installed, and its rules forbid it": {of: half},
		"locked, which takes no repair":           {of: locked, want: []Step{StepWait, StepAgain}},
		"tried again before":                      {of: locked, change: func(d *patching.Deployment) { d.Again = 1 }},
		"never told to start":                     {of: locked, change: func(d *patching.Deployment) { d.Released = time.Time{} }},
		"ended by the server, for it kept silent": {of: locked, change: func(d *patching.Deployment) { d.Answered = time.Time{} }},
		"a second too late":                       {of: locked, change: func(d *patching.Deployment) { d.End = d.End.Add(-time.Second) }},
		"nothing that another try mends":          {of: half, mayRepair: true, change: func(d *patching.Deployment) { d.Reason = patching.ReasonDisk }},
	} {
		t.Run(name, func(t *testing.T) {
			d := c.of
			if c.change != nil {
				c.change(&d)
			}
			require.Equal(t, c.want, MendNow(d, c.mayRepair, now))
		})
	}
}
