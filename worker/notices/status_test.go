package notices_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/notices"
)

func TestWhatIsWrongWithTheTellingIsSaidInASentence(t *testing.T) {
	ops := notify.Recipient{Recipient: notice.Recipient{Name: "ops", Roles: patching.Roles()}}
	gone := notify.Recipient{Recipient: notice.Recipient{Name: "ana"}, Account: "ana"}
	message := func(state store.DigestState, lane notice.Lane, failed int) []store.Outgoing {
		return []store.Outgoing{{
			Digest: notice.Digest{Recipient: "ops", Lane: lane}, State: state, Failed: failed, Words: "451 try later", Ended: noon.Add(-time.Hour),
		}}
	}
	for name, c := range map[string]struct {
		is   notices.Status
		says string
		ok   bool
	}{
		"no file":                            {notices.Status{}, "Nobody is told anything: there is no notify.yaml", true},
		"a file that was never good":         {notices.Status{Problem: errors.New("notify.yaml:3: x")}, "Nobody is told anything: notify.yaml:3: x", false},
		"a file that was good before":        {notices.Status{Configured: true, Problem: errors.New("notify.yaml:3: x")}, "What was in force before stays so: notify.yaml:3: x", false},
		"all is well":                        {notices.Status{Configured: true, Recipients: []notify.Recipient{ops}}, "1 recipient is told what concerns them.", true},
		"an account that was revoked":        {notices.Status{Configured: true, Recipients: []notify.Recipient{ops, gone}}, "not there: ana (account ana).", false},
		"a server that is busy":              {notices.Status{Configured: true, Pending: message(store.DigestPending, notice.Digests, 2)}, "0 recipients are told", true},
		"a message that fails":               {notices.Status{Configured: true, Pending: message(store.DigestPending, notice.Digests, 3)}, "A message to ops failed 3 times: 451 try later.", false},
		"a message that was given up":        {notices.Status{Configured: true, Lately: message(store.DigestGivenUp, notice.Alerts, 20)}, "In the last week 1 message was given up.", false},
		"a test that failed":                 {notices.Status{Configured: true, Lately: message(store.DigestGivenUp, notice.Tests, 1)}, "0 recipients are told", true},
		"a message that was sent in the end": {notices.Status{Configured: true, Lately: message(store.DigestSent, notice.Alerts, 20)}, "0 recipients are told", true},
	} {
		words, wayOut, ok := c.is.Words(noon)
		require.Contains(t, words, c.says, name)
		require.Equal(t, c.ok, ok, name)
		require.True(t, ok || wayOut != "", name)
	}
	old := notices.Status{Configured: true, Lately: message(store.DigestGivenUp, notice.Alerts, 20)}
	_, _, ok := old.Words(noon.Add(8 * 24 * time.Hour))
	require.True(t, ok, "what was given up weeks ago helps nobody")
}
