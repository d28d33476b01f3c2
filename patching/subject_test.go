package patching_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves G2, Q7.
func TestWhatLooksLikeACVEIsTakenAsOneInAnyLettersOrRefusedWithTheShape(t *testing.T) {
	for name, c := range map[string]struct {
		typed, want patching.Subject
		wrong       string
	}{
		"in capitals":          {patching.Subject{Advisory: "CVE-2026-1000"}, patching.Subject{CVE: "CVE-2026-1000"}, ""},
		"in small letters":     {patching.Subject{Advisory: "cve-2026-1000"}, patching.Subject{CVE: "CVE-2026-1000"}, ""},
		"with blanks":          {patching.Subject{Advisory: " Cve-2026-1000\n"}, patching.Subject{CVE: "CVE-2026-1000"}, ""},
		"said twice":           {patching.Subject{Advisory: "cve-2026-1000", CVE: "cve-2026-1000"}, patching.Subject{CVE: "CVE-2026-1000"}, ""},
		"another one besides":  {patching.Subject{Advisory: "cve-2026-1000", CVE: "CVE-2026-2000"}, patching.Subject{Advisory: "CVE-2026-1000", CVE: "CVE-2026-2000"}, ""},
		"as a CVE, small":      {patching.Subject{CVE: "cve-2026-1000"}, patching.Subject{CVE: "CVE-2026-1000"}, ""},
		"too short":            {patching.Subject{Advisory: "CVE-2026-1"}, patching.Subject{Advisory: "CVE-2026-1"}, "advisory"},
		"too short, small":     {patching.Subject{Advisory: "cve-26-1000"}, patching.Subject{Advisory: "CVE-26-1000"}, "advisory"},
		"nothing but its head": {patching.Subject{Advisory: "cve-"}, patching.Subject{Advisory: "CVE-"}, "advisory"},
		"another publisher's":  {patching.Subject{Advisory: "FEDORA-2026-ab12cd34ef"}, patching.Subject{Advisory: "FEDORA-2026-ab12cd34ef"}, ""},
		"a package":            {patching.Subject{Package: " openssl "}, patching.Subject{Package: "openssl"}, ""},
	} {
		r := aReview()
		r.Subject = c.typed.Named()
		assert.Equal(t, c.want, r.Subject, name)
		assert.Equal(t, c.want, r.Subject.Named(), "%s: and stays so", name)
		assert.Equal(t, c.wrong, field(t, r.Check()), name)
	}
	r := aReview()
	r.Advisory = "CVE-2026-1"
	assert.ErrorContains(t, r.Check(), `"CVE-2026-1" is no CVE's name: want CVE, a year and four digits or more, such as CVE-2024-3094`)
}
