package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

func TestWhatTheServerRefusesIsToldOfTheArgumentOrFlagThatItWas(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	const name = "write lower-case letters and digits, with dots, underscores and dashes between them, 64 at most"
	for says, args := range map[string][]string{
		`NAME "ben x": ` + name: {"user", "add", "ben x", "--role", "approver"},
		`NAME "BAD": write lower-case letters and digits, with dashes between them, 64 at most`: {"emergency", "start", "demo", "BAD", "--reason", "r"},
		`POLICY "Demo": ` + name:                                                   {"--data-dir", "x", "emergency", "start", "Demo", "good", "--reason", "r"},
		`POLICY "x y": ` + name:                                                    {"cycle", "start", "x y"},
		`CYCLE "cycle/Demo/2026-11.1": ` + name:                                    {"cycle", "show", "cycle/Demo/2026-11.1"},
		`CYCLE "circle/demo/2026-11.1": write one of cycle, emergency`:             {"cycle", "show", "circle/demo/2026-11.1"},
		`--for "1000000h0m0s": write 8760h at most`:                                {"enrol", "token", "--site", "s", "--for", "1000000h"},
		`--site "a b": "a b" cannot name a site`:                                   {"enrol", "token", "--site", "a b"},
		`--revision "-1": write 1 or more`:                                         {"cycle", "plan", "--revision", "-1"},
		`--once "` + strings.Repeat("k", 201) + `": write 200 characters at most`:  {"cycle", "start", "demo", "--once", strings.Repeat("k", 201)},
		`--scope: "everywhere" is no scope`:                                        {"user", "add", "ben", "--role", "approver", "--scope", "everywhere"},
		`MACHINE "` + strings.Repeat("m", 201) + `": write 200 characters at most`: {"asset", "show", strings.Repeat("m", 201)},
	} {
		r := h.run(args...)
		assert.Equal(t, ExitUsage, r.code, "%q", args)
		assert.Contains(t, r.errs, "patchcycle: "+says, "%q", args)
		assert.Contains(t, r.errs, " --help\n")
		assert.NotContains(t, r.errs, "expected")
		assert.NotContains(t, r.errs, "openapi")
	}
}

func TestARefusalOfTheWholeRequestKeepsTheServersWords(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	r := h.run("asset", "set", "web-1")
	assert.Contains(t, r.errs, "nothing to change was given")
	err := inWords(New(h.o), []string{"policy", "list"}, &wire.Problem{Status: 422, Code: wire.CodeInvalid, Detail: "The request is not valid.", WayOut: "See /openapi.json for what it takes."})
	var said *wire.Problem
	assert.ErrorAs(t, err, &said)
	assert.Equal(t, "See: patchcycle policy list --help", said.WayOut)
}
