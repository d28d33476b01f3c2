package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

// teller tells two recipients; the second one's server is down.
type teller struct{}

func (teller) Status(context.Context) (wire.Notify, error) {
	return wire.Notify{Words: "A message to chat failed 4 times.", WayOut: "Mend it.", Recipients: []wire.Recipient{
		{Name: "ops", To: "mail to ops@example.org", Roles: []patching.Role{patching.RoleOperator}, Sites: []patching.SiteName{"berlin"}, Owners: []string{"it"}, Every: "4h"},
		{Name: "chat", To: "webhook chat", Account: "ana", Every: "1d"},
	}}, nil
}

func (teller) Test(_ context.Context, recipient string) (wire.NotifyTest, error) {
	switch recipient {
	case "ops":
		return wire.NotifyTest{OK: true, Words: "The message was taken."}, nil
	case "chat":
		return wire.NotifyTest{Words: "webhook chat: connection refused"}, nil
	default:
		return wire.NotifyTest{}, fmt.Errorf("recipient %s: %w", recipient, store.ErrNotFound)
	}
}

// Serves G4.
func TestWhoIsToldWhatAndWhatWasToldIsListed(t *testing.T) {
	h := newHouse(t)
	r := h.run("notify", "list")
	assert.Equal(t, ExitOK, r.code)
	assert.Contains(t, r.errs, "A message to chat failed 4 times.\nMend it.\n")
	assert.Contains(t, r.out, "ops        mail to ops@example.org  operator; sites berlin; owners it  4h\n")
	assert.Contains(t, r.out, "chat       webhook chat             account ana: nothing               1d\n")

	c := notice.Compose(notice.Recipient{Name: "ops", Roles: patching.Roles(), Lines: 5}, notice.Digests, 0)
	c.Add(notice.Queued{Seq: 1, Recorded: noon, Notice: notice.Notice{ID: "1", Kind: notice.AgentSilent, Severity: notice.Routine, Words: "x"}})
	d := c.Digest("fleet", noon)
	require.NoError(t, h.store.KeepDigest(t.Context(), d))
	require.NoError(t, h.store.BeginTry(t.Context(), d.ID, noon))
	require.NoError(t, h.store.EndTry(t.Context(), store.TryEnd{Digest: d.ID, Began: noon, Ended: noon, Words: "451 try\nlater", State: store.DigestPending, Next: noon.Add(time.Minute)}))
	assert.Contains(t, h.ok("notify", "list", "--recipient", "ops"), "ops  digest  pending  1      [fleet] 1 silent machine  451 try later\n")
	is := decode[wire.Notify](h, "notify", "list", "--limit", "1")
	require.Len(t, is.Messages, 1)
	assert.Equal(t, d.Text(), is.Messages[0].Text)
}

func TestATestOfARecipientEndsWithCodeOneIfItCouldNotBeSent(t *testing.T) {
	h := newHouse(t)
	assert.Equal(t, "The message was taken.\n", h.ok("notify", "test", "ops"))
	r := h.run("notify", "test", "chat")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "patchcycle: webhook chat: connection refused\n")
	assert.Empty(t, r.out)
	r = h.run("notify", "test", "chat", "--json")
	assert.Equal(t, ExitFailed, r.code)
	var a wire.NotifyTest
	require.NoError(t, json.Unmarshal([]byte(r.out), &a))
	assert.False(t, a.OK)
	r = h.run("notify", "test", "nobody")
	assert.Equal(t, ExitNotFound, r.code)
	assert.Contains(t, r.errs, "There is no recipient nobody.\n  See which there are: patchcycle notify list\n")
	assert.Contains(t, h.run("__complete", "notify", "test", "").out, "ops\tmail to ops@example.org\n")
	assert.Contains(t, h.run("__complete", "notify", "list", "--recipient", "").out, "chat\twebhook chat\n")
}
