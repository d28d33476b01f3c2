package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
)

func TestEachClientFetchesAsManyFilesAndARunHasItsBytesAtLeast(t *testing.T) {
	for _, c := range []struct {
		mb, clients int
		bytes       int64
		want        int
	}{{1, 1, 2e9, 2000}, {1, 32, 2e9, 2016}, {60, 1, 2e9, 34}, {60, 32, 2e9, 64}, {60, 32, 1, 32}} {
		require.Equal(t, c.want, load{kind: kind{mb: c.mb}, clients: c.clients, bytes: c.bytes}.requests())
	}
}

func TestARatioIsTheMedianOfThePairsAndNotOfTheirMedians(t *testing.T) {
	run := func(seconds float64) timing { return timing{GB: 1, Seconds: seconds, ServerCPU: seconds / 2} }
	c := paired{Pairs: []pair{{run(1), run(1)}, {run(10), run(5)}, {run(2), run(1.8)}}}
	require.InDelta(t, 0.9, c.ratio(), 1e-9)
	require.InDelta(t, 1, c.middle(func(p pair) float64 { return p.Relay.cost() }), 1e-9)
	require.Zero(t, paired{}.ratio())
}

func TestNginxHasAllItsFilesInOurFolderAndIsTheUserThatStartsIt(t *testing.T) {
	own := certificate{cert: "/tmp/x/cert.pem", key: "/tmp/x/key.pem"}
	text := nginxConfig("/tmp/x/nginx", "/tmp/x/files", "127.0.0.1:1", "127.0.0.1:2", own, true)
	require.Contains(t, text, "user root;")
	require.Contains(t, text, "listen 127.0.0.1:2 ssl;")
	for _, where := range []string{"pid /tmp/x/nginx/pid;", "proxy_temp_path /tmp/x/nginx/proxy;", "root /tmp/x/files;", "ssl_certificate /tmp/x/cert.pem;", "error_log stderr;"} {
		require.Contains(t, text, where)
	}
	require.NotContains(t, nginxConfig("/tmp/x", "", "", "", own, false), "user ")
}

func TestTheFilesAreServedUnderTheNamesOfASnapshotThatARelayReads(t *testing.T) {
	g, err := makeGoods(t.TempDir(), map[int]int{1: 2})
	require.NoError(t, err)
	origin := g.open()
	t.Cleanup(origin.Close)
	text := get(t, origin.URL+"/snapshot/"+g.one.Path())
	same, err := depot.ReadSnapshot(text)
	require.NoError(t, err)
	for _, f := range g.kinds[0].files {
		at, ok := same.At("debian", "g1", f.path[1:])
		require.True(t, ok)
		require.Equal(t, depot.File{SHA256: f.sha256, Size: 1e6}, at)
		var body bytes.Buffer
		require.NoError(t, fetch(t.Context(), http.DefaultClient, origin.URL+g.below()+f.path, f.size, &body, make([]byte, 1024)))
		require.Len(t, body.Bytes(), 1e6)
		require.ErrorContains(t, fetch(t.Context(), http.DefaultClient, origin.URL+g.below()+f.path, f.size+1, io.Discard, make([]byte, 1024)), "want 1000001")
	}
}

func get(t *testing.T, at string) []byte {
	t.Helper()
	resp, err := http.Get(at)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return text
}
