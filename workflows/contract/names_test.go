package contract_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

var update = flag.Bool("update", false, "write testdata anew, after thinking of the cycles that run")

// design.md 7: names are pinned by a test; a rename is a migration. Cycles that
// run, schedules and people's scripts know them.
func TestNamesThatEndUpInHistoriesStayAsTheyAre(t *testing.T) {
	var b strings.Builder
	section(&b, "workflows", contract.CycleWorkflow, contract.RingWorkflow, contract.WaveWorkflow, contract.TriggerWorkflow)
	section(&b, "task queues", contract.QueueCycles, contract.QueueWaits)
	section(&b, "signals of our own", contract.SignalControl)
	section(&b, "queries", contract.QueryState)
	section(&b, "verbs: updates and signals", contract.VerbNames()...)
	section(&b, "search attributes", attributes()...)
	section(&b, "what PcGate says", contract.GateOpen, contract.GateApproval, contract.GatePaused, contract.GateHalted)
	section(&b, "ids", contract.TriggerID("p"), contract.ScheduleID("p"))
	var names []string
	for _, a := range activities() {
		names = append(names, fmt.Sprintf("%s, %s: %s -> %s", a.name, a.work, a.in, a.out))
	}
	section(&b, "activities", names...)
	golden(t, "names", b.String())
}

// The list above is written by hand; this finds what was forgotten in it.
func TestEveryActivityOfTheContractIsPinned(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "activities.go", nil, 0)
	require.NoError(t, err)
	var declared []string
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) != 2 {
			return true
		}
		if of, ok := lit.Type.(*ast.IndexListExpr); ok && of.X.(*ast.Ident).Name == "Activity" {
			declared = append(declared, strings.Trim(lit.Elts[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	var pinned []string
	for _, a := range activities() {
		pinned = append(pinned, a.name)
	}
	require.NotEmpty(t, declared)
	require.Equal(t, declared, pinned)
	slices.Sort(pinned)
	require.Len(t, slices.Compact(pinned), len(declared), "no name stands for two")
}

// What is carried is read again weeks later, by newer code: a field that was
// renamed comes back empty, and nobody is told.
func TestPayloadsStayAsTheyAre(t *testing.T) {
	shapes := map[string]string{}
	for _, a := range activities() {
		shape(shapes, a.inType)
		shape(shapes, a.outType)
	}
	for _, v := range carried() {
		shape(shapes, reflect.TypeOf(v))
	}
	var names []string
	for name := range shapes {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s\n%s\n", name, shapes[name])
	}
	golden(t, "payloads", b.String())
}

// carried are the inputs, results and messages of workflows.
func carried() []any {
	return []any{
		contract.CycleState{},
		contract.CycleResult{},
		contract.RingInput{},
		contract.RingResult{},
		contract.WaveInput{},
		contract.WaveResult{},
		contract.TriggerInput{},
		contract.Control{},
		contract.Act{},
		contract.Answer{},
	}
}

type pinned struct {
	name, work, in, out string
	inType, outType     reflect.Type
}

func pin[In, Out any](a contract.Activity[In, Out]) pinned {
	in, out := reflect.TypeFor[In](), reflect.TypeFor[Out]()
	return pinned{a.Name, workName(a.Work), in.String(), out.String(), in, out}
}

func workName(w contract.Work) string {
	return map[contract.Work]string{contract.Quick: "quick", contract.Bulk: "bulk", contract.Waiting: "waiting", contract.Feed: "feed"}[w]
}

func activities() []pinned {
	return []pinned{
		pin(contract.OpenCycle), pin(contract.SaveState), pin(contract.SyncFeeds), pin(contract.AskInventory), pin(contract.Assess), pin(contract.MakePlan),
		pin(contract.Reschedule), pin(contract.Rehearse), pin(contract.NoteRehearsal), pin(contract.VerifyAct), pin(contract.ApplyAmend), pin(contract.AdmitMachines), pin(contract.CheckGrants), pin(contract.Remind), pin(contract.ListWaves),
		pin(contract.StageWave), pin(contract.Release), pin(contract.AwaitTally), pin(contract.ReadTally), pin(contract.EndSlice),
		pin(contract.NoteGate), pin(contract.Diagnose), pin(contract.Mend), pin(contract.TryAgain), pin(contract.Campaign), pin(contract.AwaitOrders), pin(contract.JudgeRing), pin(contract.MakeReport),
		pin(contract.CloseCycle), pin(contract.StartDue),
	}
}

func attributes() []string {
	var names []string
	for _, a := range []interface{ GetName() string }{
		contract.AttrCycle, contract.AttrPolicy, contract.AttrKind, contract.AttrPhase, contract.AttrRing, contract.AttrSite, contract.AttrGate,
	} {
		names = append(names, a.GetName()+" keyword")
	}
	return append(names, contract.AttrDeadline.GetName()+" time", contract.AttrFailed.GetName()+" int",
		contract.AttrPending.GetName()+" int", contract.AttrClosedAs.GetName()+" keyword")
}

// shape describes a type and those that it is made of, as JSON sees them.
func shape(known map[string]string, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		shape(known, t.Elem())
	case reflect.Map:
		shape(known, t.Key())
		shape(known, t.Elem())
	case reflect.Struct:
		if _, done := known[t.String()]; done || t.PkgPath() == "time" {
			return
		}
		known[t.String()] = ""
		var lines strings.Builder
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() {
				continue
			}
			name := f.Name
			if tag, _, _ := strings.Cut(f.Tag.Get("json"), ","); tag != "" {
				name = tag
			}
			fmt.Fprintf(&lines, "  %s %s\n", name, f.Type)
			shape(known, f.Type)
		}
		known[t.String()] = lines.String()
	default:
	}
}

func section(b *strings.Builder, title string, lines ...string) {
	fmt.Fprintf(b, "%s\n  %s\n", title, strings.Join(lines, "\n  "))
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "A cycle that runs may depend on the old form: see versions.go, then run with -update.")
}
