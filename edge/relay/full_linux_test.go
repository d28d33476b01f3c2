package relay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/smalldisk"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q5: a relay's disk is full.
func TestOnAFullDiskARelayPassesOnAndMakesRoomWhereItMay(t *testing.T) {
	dir, ok := smalldisk.On(t, "size=3m")
	if !ok {
		return
	}
	a := newArchive(t, 1500<<10)
	mirrored := bytes.Repeat([]byte("m"), 1<<20)
	sum := sha256.Sum256(mirrored)
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/apt/") {
			return false
		}
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		http.ServeContent(w, r, "", serverTime, bytes.NewReader(mirrored))
		return true
	})
	s := newServer(t)
	text := []byte(strings.Repeat("a bundle", 1<<10))
	s.texts[patching.DigestOf(text)] = text
	r := start(t, s, func(o *relay.Options) { o.Dir, o.Files = dir, a.client(t) })
	eventually(t, "it knows what the server keeps", func() bool { _, err := os.Stat(filepath.Join(dir, "kept.json")); return err == nil })
	require.Equal(t, http.StatusOK, first(r.get(t, "/apt/debian/x.deb", "")))
	free := smalldisk.Fill(t, dir)

	got, err := r.link.Content(t.Context(), patching.DigestOf(text))
	require.NoError(t, err)
	require.Equal(t, text, got, "what cannot be kept is passed on")
	d := newDevice(1)
	acks, err := r.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("a")}})
	require.NoError(t, err)
	require.Len(t, acks, 1, "and so are receipts")
	require.Equal(t, http.StatusInsufficientStorage, first(r.get(t, a.path(debPath(0)), "")), "the mirrored file went, and that was not enough")

	free()
	status, body := r.get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, a.files[debPath(0)], body)
	s.do(func() { s.down = errors.New("no route") })
	_, err = r.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("b")}})
	require.Error(t, err)
	require.Equal(t, 1, r.Status().Spooled, "there is room again")
}
