package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOfAnEntryOfTheRecordPeopleReadWhatIsSet(t *testing.T) {
	for name, c := range map[string]struct{ verb, body, want string }{
		"a start in the ordinary way":  {"start", `request r-1; shadow false; reason ""`, "request r-1"},
		"a start in shadow mode":       {"start", `request r-1; shadow true; reason "it burns; now"`, "request r-1; in shadow mode; reason: it burns; now"},
		"a vote that counts":           {"approve", `request r-1; plan sha256:12; reason ""; refused ""`, "request r-1; plan sha256:12"},
		"a vote that does not":         {"approve", `request r-1; plan ; reason "say \"go\""; refused "the author cannot"`, `request r-1; reason: say "go"; refused: the author cannot`},
		"an account without limits":    {"add account", "approver; limited to *; 1 keys", "approver; 1 key"},
		"an account with limits":       {"add account", "approver; limited to site:a, site:b; 0 keys", "approver; limited to site:a, site:b"},
		"a token":                      {"make enrolment token", "token 12; uses 1; until 2026-11-21T12:00:00Z; accepts by itself false", "token 12; uses 1; until 2026-11-21T12:00:00Z"},
		"words that begin as the verb": {"closed", "Closed: backed out. 3 failed.", "Backed out. 3 failed."},
		"the verb in its other form":   {"close", "Closed: successful. 3 patched.", "Successful. 3 patched."},
		"a phase that says it twice":   {"phase", "closed: Closed: with exceptions. 3 failed.", "Closed: with exceptions. 3 failed."},
		"a phase that says it once":    {"phase", "plan: Deciding who gets what: when.", "plan: Deciding who gets what: when."},
		"somebody's own words":         {"revoke account", `he said "no; and left`, `he said "no; and left`},
		"nothing":                      {"close", "", ""},
		"a key that was revoked":       {"revoke device", "of web-1 ", "of web-1"},
	} {
		assert.Equal(t, c.want, details(c.verb, c.body), name)
	}
}
