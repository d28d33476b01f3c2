package sources_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
)

// FuzzList looks for a list of feeds that brings the reader down, or that is taken and
// cannot be used.
func FuzzList(f *testing.F) {
	f.Add([]byte("feeds:\n- name: kev\n  url: https://www.example.org/kev.json\n  owner: security\n  every: 6h\n  stale_after: 2d\n"))
	f.Add([]byte("proxy: http://127.0.0.1:3128\nfeeds:\n- name: msrc\n  url: https://api.example.org/{year}-{Mon}\n  from: 2026-01\n"))
	f.Add([]byte("feeds: [{name: a, url: [\"\"]}, {name: a}]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := sources.Parse("feeds.yaml", text)
		if err != nil {
			return
		}
		for _, s := range c.Feeds {
			require.NotEmpty(t, s.Name)
			require.GreaterOrEqual(t, s.Every, time.Duration(0))
		}
	})
}
