package plainyaml

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllThatIsWrongWithAFileIsSaidAtOnceWithItsPlace(t *testing.T) {
	p := Problems{File: "/etc/patchcycle/feeds.yaml"}
	require.NoError(t, p.Err())
	p.Add(Word{Text: "5 parsecs", Line: 7}, "every", "want a time such as 6h")
	p.Say(0, "no %s", "owner")
	p.Add(Word{Text: strings.Repeat("x", 1000), Line: 9}, "name", "want fewer")
	require.EqualError(t, p.Err(), `/etc/patchcycle/feeds.yaml:7: every "5 parsecs": want a time such as 6h
/etc/patchcycle/feeds.yaml:1: no owner
/etc/patchcycle/feeds.yaml:9: name "`+strings.Repeat("x", 100)+`": want fewer`)
	require.Equal(t, "/etc/patchcycle/keys/a.gpg", p.Beside("keys/a.gpg"))
	require.Equal(t, "/a.gpg", p.Beside("/a.gpg"))
}
