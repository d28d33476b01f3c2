package notify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// example is that of docs/notify.md.
func example(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/notify.md")
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(page), "<!-- example: notify.yaml -->\n```yaml\n")
	require.True(t, ok)
	text, _, ok := strings.Cut(after, "```\n")
	require.True(t, ok)
	return text
}

// Serves G4.
func TestTheExampleOfTheDocsIsRead(t *testing.T) {
	f := newFolder(t)
	f.write("mail.secret", "x")
	f.write("chat.secret", secret)
	config, err := notify.Read(f.write("notify.yaml", example(t)))
	require.NoError(t, err)
	require.Equal(t, 48*time.Hour, config.SilentAfter)
	require.Len(t, config.Recipients, 4)
	berlin, ok := config.Find("berlin")
	require.True(t, ok)
	require.Equal(t, []patching.SiteName{"berlin"}, berlin.Sites)
	require.Equal(t, []string{"web-team"}, berlin.Owners)
	require.Equal(t, 24*time.Hour, berlin.Every)
	require.Equal(t, notice.DefaultAlertEvery, berlin.AlertEvery)
	require.Equal(t, 20*60, berlin.Quiet.From)
	require.Equal(t, 6*60+30, berlin.Quiet.Until)
	require.Equal(t, "Europe/Berlin", berlin.Quiet.Zone.String())
	require.Equal(t, "mail to berlin-it@example.org by mail.example.org:587", berlin.Channel.Words())
	ana, _ := config.Find("ana")
	require.EqualValues(t, "ana", ana.Account)
	chat, _ := config.Find("on-call")
	require.Equal(t, []notice.Kind{notice.CycleHalted, notice.CycleMissed}, chat.Kinds)
	require.Equal(t, "webhook chat at chat.example.org", chat.Channel.Words())
	_, ok = config.Find("nobody")
	require.False(t, ok)
}

func TestAMistakeInTheFileIsNamedWithItsLineItsValueAndTheWayOut(t *testing.T) {
	const mail = "mail:\n  server: mail.example.org:587\n  from: p@example.org\n"
	const ops = "recipients:\n- name: ops\n  mail: ops@example.org\n  roles: [operator]\n"
	for name, c := range map[string]struct{ text, says string }{
		"nothing":                       {"", "notify.yaml:1: no recipients"},
		"a key that does not exist":     {mail + "recipents: []\n", "[4:1]"},
		"no YAML":                       {"mail: [", "notify.yaml: "},
		"an alias":                      {"mail: &x\nwebhooks: *x\n", "line 1: it has an alias"},
		"a name with a break":           {mail + strings.Replace(ops, "name: ops", `name: "o\nps"`, 1), `recipient 1: name "o\nps": want 1 to 64`},
		"a name twice":                  {mail + ops + strings.TrimPrefix(ops, "recipients:\n"), `notify.yaml:8: name "ops": another recipient`},
		"no name":                       {mail + "recipients:\n- mail: ops@example.org\n  roles: [operator]\n", `recipient 1: name ""`},
		"nobody's role":                 {mail + strings.Replace(ops, "operator", "boss", 1), `notify.yaml:7: roles "boss": the roles are admin,`},
		"a role twice":                  {mail + strings.Replace(ops, "operator", "operator, operator", 1), `roles "operator": it is there twice`},
		"a kind that does not exist":    {mail + ops + "  kinds: [all]\n", `notify.yaml:8: kinds "all": the kinds are agent-silent,`},
		"told nothing":                  {mail + "recipients:\n- name: ops\n  mail: ops@example.org\n", "notify.yaml:5: recipient ops would be told nothing"},
		"roles beside an account":       {mail + ops + "  account: ana\n", `notify.yaml:8: account "ana": the account's own roles`},
		"a strange account":             {mail + "recipients:\n- name: ops\n  mail: ops@example.org\n  account: A/B\n", `notify.yaml:7: account "A/B"`},
		"a strange site":                {mail + ops + "  sites: [Berlin West]\n", `notify.yaml:8: sites "Berlin West"`},
		"no address":                    {mail + strings.Replace(ops, "  mail: ops@example.org\n", "", 1), "recipient ops: give mail or webhook"},
		"two addresses":                 {mail + ops + "  webhook: chat\n", "recipient ops: give mail or webhook, one of them"},
		"a list of addresses":           {mail + strings.Replace(ops, "ops@example.org", `"a@example.org, b@example.org"`, 1), `mail "a@example.org, b@example.org": want one address`},
		"an address with a header":      {mail + strings.Replace(ops, "ops@example.org", `"a@example.org\nBcc: b@example.org"`, 1), "want one address"},
		"an address without a domain":   {mail + strings.Replace(ops, "ops@example.org", "ops", 1), `mail "ops": want one address`},
		"a mail without a server":       {ops, `notify.yaml:3: mail "ops@example.org": no server would take it`},
		"a webhook that does not exist": {"recipients:\n- name: ops\n  webhook: chat\n  roles: [operator]\n", `notify.yaml:3: webhook "chat": no webhook has this name`},
		"an interval without a unit":    {mail + ops + "  every: 4\n", `notify.yaml:8: every "4": want a time between 1m and 7d, such as 4h`},
		"an interval of a month":        {mail + ops + "  every: 30d\n", `every "30d"`},
		"quiet hours of a machine":      {mail + ops + "  quiet: \"8pm-7am\"\n  zone: UTC\n", `quiet "8pm-7am": want two times of day in quotes`},
		"quiet hours nowhere":           {mail + ops + "  quiet: \"20:00-07:00\"\n", "zone of the quiet hours"},
		"a zone of nothing":             {mail + ops + "  zone: UTC\n", `zone "UTC": it says where the quiet hours are`},
		"lines without end":             {mail + ops + "  lines: 100000\n", `lines "100000": want a number between 1 and 500`},
		"silence of a second":           {mail + ops + "silent_after: 1s\n", `notify.yaml:8: silent_after "1s": want a time between 1h and 90d`},
		"a server without a port":       {strings.Replace(mail, ":587", "", 1) + ops, `notify.yaml:2: server "mail.example.org": want host:port`},
		"a way that does not exist":     {mail + "  tls: ssl\n" + ops, `notify.yaml:4: tls "ssl": want starttls (587)`},
		"a sender that is none":         {strings.Replace(mail, "p@example.org", "patchcycle", 1) + ops, `notify.yaml:3: from "patchcycle"`},
		"a user without a password":     {mail + "  user: u\n" + ops, "user and password_file go together"},
		"a password in the clear":       {mail + "  tls: none\n  user: u\n  password_file: ok\n" + ops, `notify.yaml:5: user "u": the password would travel in the clear`},
		"a password that is not there":  {mail + "  user: u\n  password_file: no\n" + ops, `notify.yaml:5: password_file "no": `},
		"a password that others read":   {mail + "  user: u\n  password_file: open\n" + ops, "others can read it: chmod 600"},
		"a password of two lines":       {mail + "  user: u\n  password_file: lines\n" + ops, "want one line with the secret"},
		"certificates that are none":    {mail + "  ca_file: ok\n" + ops, "has no certificate in PEM"},
		"certificates in a folder":      {mail + "  ca_file: folder\n" + ops, "folder is no file"},
		"a password in a folder":        {mail + "  user: u\n  password_file: folder\n" + ops, "folder is no file"},
		"certificates not there":        {mail + "  ca_file: no\n" + ops, `notify.yaml:4: ca_file "no": `},
		"a webhook in the clear":        {hookConfig("http://chat.example.org", "") + "silent_after: 2d\n", "notify.yaml:3: url of webhook chat: what is told would travel in the clear"},
		"a webhook of no address":       {hookConfig("chat.example.org", ""), "notify.yaml:3: url of webhook chat: want https://host/path"},
		"a webhook with a password":     {hookConfig("https://u:p@chat.example.org", ""), "url of webhook chat: it has a password in it"},
		"a webhook of a strange name":   {strings.Replace(hookConfig("https://chat.example.org", ""), "name: chat", "name: Chat", 1), `notify.yaml:2: webhook 1: name "Chat"`},
		"a webhook without a secret":    {strings.Replace(hookConfig("https://chat.example.org", ""), "  secret_file: chat.secret\n", "", 1), "webhook chat has no secret_file"},
		"a short secret":                {strings.Replace(hookConfig("https://chat.example.org", ""), "chat.secret", "ok", 1), `secret_file "ok": it has 12 bytes, want 24 or more`},
		"a secret that is cut off":      {strings.Replace(hookConfig("https://chat.example.org", ""), "chat.secret", "cut", 1), "what follows whsec_ is no base64"},
		"a file without an end":         {strings.Repeat("#", 300<<10), "more than 262144 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			f.write("ok", "twelve bytes")
			f.write("lines", "a\nb")
			require.NoError(t, os.Mkdir(filepath.Join(f.dir, "folder"), 0o700))
			f.write("cut", "whsec_xxx")
			f.write("chat.secret", secret)
			require.NoError(t, os.Chmod(f.write("open", "x"), 0o644))
			_, err := notify.Read(f.write("notify.yaml", c.text))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "very-secret")
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	f := newFolder(t)
	_, err := notify.Read(f.write("notify.yaml", "recipients:\n- name: A\n  mail: x\n  roles: [boss]\n  every: soon\n"))
	for _, says := range []string{":2: ", ":3: ", ":4: ", ":5: "} {
		require.ErrorContains(t, err, "notify.yaml"+says)
	}
	_, err = notify.Read(filepath.Join(f.dir, "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
	many := "mail:\n  server: 127.0.0.1:25\n  from: p@example.org\nrecipients:\n" + strings.Repeat("- name: x\n", 201)
	_, err = notify.Read(f.write("notify.yaml", many))
	require.ErrorContains(t, err, "201 recipients: write at most 200")
}
