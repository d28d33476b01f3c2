package api_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api"
)

// The description is published with the source: a change of the API shows in
// its difference.
func TestTheDescriptionOfTheAPIIsTheOneThatIsPublished(t *testing.T) {
	text, err := api.Describe()
	require.NoError(t, err)
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, text, "", "  "))
	pretty.WriteByte('\n')
	golden(t, "../../schema/openapi.json", pretty.Bytes())
}

func TestTheServerShowsItsDescriptionAndNoPageThatLoadsScripts(t *testing.T) {
	h := newHouse(t)
	text, err := api.Describe()
	require.NoError(t, err)
	res, err := http.Get(h.url + "/openapi.json")
	require.NoError(t, err)
	defer res.Body.Close()
	served, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	assert.JSONEq(t, string(text), string(served))
	for _, path := range []string{"/docs", "/schemas/Cycle.json"} {
		res, err := http.Get(h.url + path)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, http.StatusNotFound, res.StatusCode)
	}
}
