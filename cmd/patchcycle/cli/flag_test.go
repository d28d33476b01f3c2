package cli

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnEmptyDataDirThatIsGivenIsNotTheDefault(t *testing.T) {
	h := newHouse(t)
	h.o.Serve = func(context.Context, ServeOptions) error { t.Error("it serves"); return nil }
	h.o.Demo = func(context.Context, DemoOptions) error { t.Error("it runs"); return nil }
	for _, args := range [][]string{{"server", "--data-dir", ""}, {"server", "--data-dir="}, {"demo", "--data-dir", ""}, {"cycle", "list", "--data-dir", ""}, {"--data-dir", "", "doctor"}} {
		r := h.run(args...)
		assert.Equal(t, ExitUsage, r.code, "%q", args)
		assert.Contains(t, r.errs, `--data-dir "": it is empty`, "%q", args)
		assert.Empty(t, r.out)
	}
}

func TestAFlagSaysWhatItTakesAndNotWhatItsParserSaid(t *testing.T) {
	h := newHouse(t)
	for says, args := range map[string][]string{
		`--seed "-1": write a whole number from 0 on`:                                          {"demo", "--seed", "-1"},
		`--revision "x": write a whole number`:                                                 {"cycle", "plan", "--revision", "x"},
		`--after "99999999999999999999": that is too large or too small: write a whole number`: {"audit", "list", "--after", "99999999999999999999"},
		`--for "soon": write hours, minutes or both: 24h, 90m, 1h30m`:                          {"enrol", "token", "--for", "soon"},
		`--json "maybe": write true or false, or the flag alone`:                               {"cycle", "list", "--json=maybe"},
		`--after "1.5": write a whole number`:                                                  {"audit", "list", "--after", "1.5"},
		`--machine "a\"b": parse error on line 1, column 2: bare " in non-quoted-field`:        {"cycle", "amend", "--machine", `a"b`},
		`--temporal-port "http": write a whole number`:                                         {"server", "--temporal-port", "http"},
	} {
		r := h.run(args...)
		assert.Equal(t, ExitUsage, r.code, "%q", args)
		assert.Contains(t, r.errs, "patchcycle: "+says+"\n")
		assert.NotContains(t, r.errs, "strconv")
	}
}
