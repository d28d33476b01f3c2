package back_test

import (
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/bench/back"
	"github.com/patchcycle/patchcycle/patching"
)

func whole(machines int) []back.Stage {
	return []back.Stage{
		{Name: patching.StageAccepted, Receipts: machines, Orders: machines},
		{Name: patching.StageFetched, Receipts: machines, Orders: machines},
		{Name: patching.StageStarted, Receipts: machines, Orders: machines},
		{Name: patching.StageRebooting, Receipts: machines, Orders: machines},
		{Name: patching.StageFinished, Outcome: patching.Patched, Receipts: machines, Orders: machines},
	}
}

func bootsOf(n int) back.Boots {
	b := back.Boots{}
	for i := range n {
		b[strconv.Itoa(i)] = true
	}
	return b
}

func TestAReturnIsWrongWhereAReceiptIsLostOrTwiceOrOfAnotherBoot(t *testing.T) {
	require.Empty(t, back.Wrong(3, whole(3), 0, bootsOf(3), bootsOf(3)))
	require.Equal(t, 15, back.Receipts(3))
	for words, change := range map[string]func(on *[]back.Stage, strangers *int, said, are back.Boots){
		`2 receipts "started" of 2 orders`:             func(on *[]back.Stage, _ *int, _, _ back.Boots) { (*on)[2].Receipts, (*on)[2].Orders = 2, 2 },
		`4 receipts "finished" of 3 orders`:            func(on *[]back.Stage, _ *int, _, _ back.Boots) { (*on)[4].Receipts = 4 },
		`3 receipts "finished" of 2 orders`:            func(on *[]back.Stage, _ *int, _, _ back.Boots) { (*on)[4].Orders = 2 },
		`no receipt "finished"`:                        func(on *[]back.Stage, _ *int, _, _ back.Boots) { *on = (*on)[:4] },
		`more than one outcome`:                        func(on *[]back.Stage, _ *int, _, _ back.Boots) { *on = append(*on, (*on)[4]) },
		`1 machines are not let in`:                    func(_ *[]back.Stage, strangers *int, _, _ back.Boots) { *strangers = 1 },
		`name 3 boots, of which the machines are in 2`: func(_ *[]back.Stage, _ *int, said, _ back.Boots) { delete(said, "0"); said["before"] = true },
		`name 2 boots, of which the machines are in 2`: func(_ *[]back.Stage, _ *int, said, _ back.Boots) { delete(said, "0") },
		`2 machines are in boots of their own, want 3`: func(_ *[]back.Stage, _ *int, _, are back.Boots) { delete(are, "0") },
	} {
		on, strangers, said, are := whole(3), 0, bootsOf(3), bootsOf(3)
		change(&on, &strangers, said, are)
		require.Contains(t, back.Wrong(3, on, strangers, said, are), words)
	}
}

func TestBootsAreReadFromTheMachinesOwnFiles(t *testing.T) {
	dir := t.TempDir()
	for n, id := range []string{"aa", "bb"} {
		at := filepath.Join(dir, "machines", strconv.Itoa(n))
		require.NoError(t, os.MkdirAll(at, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(at, "boot.json"), []byte(`{"id":"`+id+`","kernel":"6.1"}`), 0o600))
	}
	are, err := back.ReadBoots(dir)
	require.NoError(t, err)
	require.True(t, maps.Equal(back.Boots{"aa": true, "bb": true}, are))
	require.Equal(t, 1, are.Without(back.Boots{"aa": true}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "machines", "1", "boot.json"), []byte("{"), 0o600))
	_, err = back.ReadBoots(dir)
	require.ErrorContains(t, err, "machines/1/boot.json")
}

func TestACurveSaysWhenAShareWasThere(t *testing.T) {
	c := back.Curve{{Seconds: 2}, {Seconds: 4, Heard: 50}, {Seconds: 6, Heard: 99}, {Seconds: 8, Heard: 100}}
	heard := func(p back.Progress) int { return p.Heard }
	require.Equal(t, 4.0, c.Reached(0.5, 100, heard))
	require.Equal(t, 6.0, c.Reached(0.9, 100, heard))
	require.Equal(t, 8.0, c.Reached(1, 100, heard))
	require.Negative(t, c.Reached(1, 101, heard))
}
