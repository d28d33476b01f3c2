package urgency_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/urgency"
)

const tiny = `table,house,1
title,The rules of our house
source,Intranet
confirm,Ask the security lead.
point,in-kev,no,yes
outcome,in time,scheduled,1 month,,published first-seen
outcome,soon,immediate,48 hours,,kev-added first-seen,Call the incident team
row,a,no,in time
row,b,yes,soon
`

// Serves G2, Q7.
func TestAMistakeInATableIsNamedWithItsLineRowAndValue(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a row that nothing answers":      {"row,b,yes,soon\n", "", "no row for in-kev yes"},
		"two rows for the same":           {"row,b,yes", "row,b,no", `line 9: row "b" has the same values as row "a"`},
		"a row's id twice":                {"row,b,", "row,a,", `line 9: row "a": it needs an id of its own`},
		"an unknown value":                {"row,b,yes", "row,b,perhaps", `line 9: row "b": "perhaps" is no value of in-kev: ["no" "yes"]`},
		"an unknown outcome":              {"yes,soon", "yes,sooner", `line 9: row "b": "sooner" is no outcome of this table`},
		"a row too short":                 {"row,b,yes,soon", "row,b,yes", `line 9: row "b" has 1 values, and the table 1 points and an outcome`},
		"an unknown point":                {"point,in-kev", "point,kev", `line 5: "kev" is no point: in-kev, publicly-exposed`},
		"a point with values of its own":  {"in-kev,no,yes", "in-kev,yes,no", `line 5: point in-kev has the values ["no" "yes"], in this order, and not ["yes" "no"]`},
		"a point twice":                   {"outcome,in time", "point,in-kev,no,yes\noutcome,in time", "line 6: point in-kev a second time"},
		"an unknown lane":                 {"scheduled", "monthly", `line 6: outcome "in time": "monthly" is no lane`},
		"a time that is none":             {"1 month", "4 weeks", `line 6: outcome "in time": "4 weeks" is no time such as`},
		"neither time nor condition":      {"1 month,,published first-seen", ",,", `line 6: outcome "in time": it needs either a time or a condition`},
		"an unknown clock":                {"published first-seen", "published payday first-seen", `and not "payday"`},
		"a clock that may never begin":    {"kev-added first-seen", "kev-added", "line 7: outcome \"soon\": the last of the clocks that its time can count from must be first-seen"},
		"the more urgent outcome first":   {"48 hours", "2 months", `line 7: outcome "soon": outcomes go from least to most urgent, and "in time" gives less time`},
		"the more urgent lane first":      {"in time,scheduled", "in time,immediate", ``},
		"no sentence to confirm":          {"confirm,Ask the security lead.\n", "", "the table has no confirm"},
		"an id that is no file name":      {"table,house", "table,Our House", `line 1: table "Our House": an id has small letters`},
		"a line of another kind":          {"source,", "sauce,", `line 3: "sauce" is no kind of line`},
		"a comma that is not in quotes":   {"title,The rules", "title,Rules, the rules", `line 2: title has more than 1 values, the next is "the rules of our house" (texts with a comma stand in quotes)`},
		"a quote that does not end":       {"title,The", `title,"The`, `line 2: extraneous or missing " in quoted-field`},
		"a second title":                  {"source,", "title,Again\nsource,", "line 3: a second title, the first is in line 2"},
		"an empty text":                   {tiny, "", "the table needs a point and an outcome at least"},
		"a text that is no table at all":  {tiny, strings.Repeat("x", 2<<20), "it has more than 1048576 bytes"},
		"more combinations than anything": {"point,in-kev,no,yes\n", manyPoints, "combinations, more than 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, 1, strings.Count(tiny, c.from))
			text := strings.Replace(tiny, c.from, c.to, 1)
			_, err := urgency.Parse([]byte(text))
			if c.says == "" {
				require.NoError(t, err) // two outcomes may share a lane
				return
			}
			require.ErrorIs(t, err, urgency.ErrTable)
			require.ErrorContains(t, err, c.says)
		})
	}
}

const manyPoints = `point,in-kev,no,yes
point,publicly-exposed,no,yes
point,automatable,no,yes
point,technical-impact,partial,total
point,exploitation,none,public poc,active
point,system-exposure,small,controlled,open
point,human-impact,low,medium,high,very high
point,vendor-severity,low,medium,not stated,high,critical
point,cvss-7,no,yes
`

func TestASpreadsheetMayHaveSavedTheTable(t *testing.T) {
	var saved strings.Builder
	saved.WriteString("\ufeff")
	for line := range strings.Lines(tiny) {
		line = strings.TrimSuffix(line, "\n")
		saved.WriteString(line + strings.Repeat(",", 8-strings.Count(line, ",")) + "\r\n")
	}
	saved.WriteString(",,,,,,,,\r\n# a remark\r\n")
	table, err := urgency.Parse([]byte(saved.String()))
	require.NoError(t, err)
	plain, err := urgency.Parse([]byte(tiny))
	require.NoError(t, err)
	require.Equal(t, plain.Outcomes, table.Outcomes)
	require.Equal(t, plain.Rows, table.Rows)
}
