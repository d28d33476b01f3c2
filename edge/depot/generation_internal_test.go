package depot

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// Serves L3: whoever asks for files that are not there must not make the server
// read its indexes again and again.
func TestAllIndexesThatASearchComesByStayRead(t *testing.T) {
	var all []*Generation
	for n := range 3 {
		for _, suite := range []string{"stable", "stable-security"} {
			all = append(all, &Generation{ID: fmt.Sprint(n), Repository: "debian", Suite: suite, Indexes: make([]Index, 20)})
		}
	}
	require.Equal(t, 2*2*20, searched(all))

	var c catalogues
	c.fit(searched(all))
	for n := range 80 {
		c.put(fmt.Sprint(n), &catalogue{})
	}
	for round := range 3 {
		for n := range 80 {
			_, ok := c.have(fmt.Sprint(n))
			require.True(t, ok, "round %d, index %d", round, n)
		}
	}
	for n := 80; n < 200; n++ {
		c.put(fmt.Sprint(n), &catalogue{})
		c.put(fmt.Sprint(n), &catalogue{})
	}
	require.Len(t, c.known, 80+spareCatalogues)
	require.Len(t, c.order, 80+spareCatalogues)
	_, ok := c.have("0")
	require.False(t, ok, "those that were not used for long go")
}
