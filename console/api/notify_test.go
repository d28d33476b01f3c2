package api_test

import (
	"context"
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

// teller tells one recipient, ops.
type teller struct{ tested []string }

func (*teller) Status(context.Context) (wire.Notify, error) {
	return wire.Notify{OK: true, Words: "1 recipient is told what concerns them.", Recipients: []wire.Recipient{
		{Name: "ops", To: "mail to ops@example.org by mail.example.org:587", Roles: []patching.Role{patching.RoleOperator}, Every: "4h", AlertEvery: "15m"},
	}}, nil
}

func (n *teller) Test(_ context.Context, recipient string) (wire.NotifyTest, error) {
	if recipient != "ops" {
		return wire.NotifyTest{}, fmt.Errorf("recipient %s: %w", recipient, store.ErrNotFound)
	}
	n.tested = append(n.tested, recipient)
	return wire.NotifyTest{OK: true, Words: "The message was taken."}, nil
}

// message puts a message on record that failed once.
func (h *house) message() {
	h.t.Helper()
	c := notice.Compose(notice.Recipient{Name: "ops", Roles: patching.Roles(), Lines: 5}, notice.Digests, 0)
	c.Add(notice.Queued{Seq: 1, Recorded: noon, Notice: notice.Notice{ID: "1", Kind: notice.AgentSilent, Severity: notice.Routine, Subject: "web", Words: "not heard since noon"}})
	d := c.Digest("fleet", noon)
	require.NoError(h.t, h.store.KeepDigest(h.t.Context(), d))
	require.NoError(h.t, h.store.BeginTry(h.t.Context(), d.ID, noon))
	require.NoError(h.t, h.store.EndTry(h.t.Context(), store.TryEnd{
		Digest: d.ID, Began: noon, Ended: noon, Words: "451 try later", State: store.DigestPending, Next: noon.Add(time.Minute),
	}))
}

// Serves G4, G6.
func TestWhatWasToldToWhomIsListedWithWhatFailed(t *testing.T) {
	h := newHouse(t)
	h.message()
	c := h.as("aud", "*", patching.RoleAuditor)
	is, err := c.Notify(t.Context(), "", 0)
	require.NoError(t, err)
	assert.True(t, is.OK)
	require.Len(t, is.Recipients, 1)
	require.Len(t, is.Messages, 1)
	m := is.Messages[0]
	assert.Equal(t, "[fleet] 1 silent machine", m.Subject)
	assert.Contains(t, m.Text, "- web: not heard since noon\n")
	assert.Equal(t, "pending", m.State)
	assert.Equal(t, "451 try later", m.Error)
	assert.Equal(t, 1, m.Tries)
	assert.Equal(t, noon.Add(time.Minute), m.Next)
	is, err = c.Notify(t.Context(), "nobody", 5)
	require.NoError(t, err)
	assert.Empty(t, is.Messages)
	_, err = h.as("tok", "site:tokyo", patching.RoleOperator).Notify(t.Context(), "", 0)
	assert.ErrorContains(t, err, "this is about everything", "messages name machines of every site")
}

// Serves G6.
func TestATestMessageIsOnRecordUnderWhoAskedForIt(t *testing.T) {
	h := newHouse(t)
	c := h.as("root", "*", patching.RoleAdmin)
	a, err := c.TestNotify(t.Context(), "ops")
	require.NoError(t, err)
	assert.True(t, a.OK)
	assert.Equal(t, []string{"ops"}, h.teller.tested)
	var problem *wire.Problem
	_, err = c.TestNotify(t.Context(), "nobody")
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeNotFound, problem.Code)
	assert.Equal(t, "See which there are: patchcycle notify list", problem.WayOut)
	chain, err := h.store.Audit(t.Context(), 0, 10)
	require.NoError(t, err)
	assert.Equal(t, "root", chain[0].Actor)
	assert.Equal(t, "test recipient", chain[0].Verb)
	assert.Equal(t, "ops", chain[0].Subject)
}
