package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// owned has the house's server answer otherwise where a path ends like that: its owner
// chooses the text that is to be signed.
func (h *house) owned(path string, change func(text string) string) {
	h.t.Helper()
	honest, err := url.Parse(h.url)
	require.NoError(h.t, err)
	srv := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(honest) },
		ModifyResponse: func(r *http.Response) error {
			if !strings.HasSuffix(r.Request.URL.Path, path) || r.StatusCode != http.StatusOK {
				return nil
			}
			text, err := io.ReadAll(r.Body)
			if err != nil {
				return err
			}
			var fields map[string]any
			if err := json.Unmarshal(text, &fields); err != nil {
				return err
			}
			said, _ := fields["text"].(string)
			fields["text"] = change(said)
			if text, err = json.Marshal(fields); err != nil {
				return err
			}
			r.Body = io.NopCloser(bytes.NewReader(text))
			r.Header.Set("Content-Length", strconv.Itoa(len(text)))
			return nil
		},
	})
	h.t.Cleanup(srv.Close)
	h.env["PATCHCYCLE_SERVER"] = srv.URL
}

// Serves Q15: one signature would suffice with a reason that the approver never gave, and
// the author could give it.
func TestAnApproverSignsNoOtherGrantsThanWereAskedFor(t *testing.T) {
	h := newHouse(t)
	ben := sshKey(t, "ben")
	key, err := trust.ParsePersonKey(string(read(t, ben+".pub")))
	require.NoError(t, err)
	h.root.Approvers = []trust.Approver{{Account: "ben", Key: key, Roles: []string{trust.RoleApprover, trust.RoleBreakGlass}, Scopes: []string{"*"}}}
	h.root.Quorum.BreakGlass, h.root.Mode = 1, trust.ModeGrants
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	for what, change := range map[string]func(*trust.Grants){
		"break-glass":   func(g *trust.Grants) { g.BreakGlass = "nobody is there" },
		"close by":      func(g *trust.Grants) { g.NotAfter = g.NotAfter.AddDate(0, 0, 9) },
		"go back until": func(g *trust.Grants) { g.RevertUntil = g.RevertUntil.AddDate(0, 0, 9) },
		"author":        func(g *trust.Grants) { g.Author = "" },
	} {
		h.owned("/grants", func(text string) string {
			g, err := trust.ReadGrants([]byte(text))
			require.NoError(t, err)
			change(&g)
			return string(g.Text())
		})
		r := h.run("cycle", "approve", string(cycleID), "--plan", string(made.Hash()), "--key", ben)
		assert.Equal(t, ExitFailed, r.code, what)
		assert.Contains(t, r.errs, what)
		assert.Contains(t, r.errs, "tell whoever runs the server")
	}
	assert.Empty(t, h.engine.acts)
	h.owned("/grants", func(text string) string { return text })
	h.ok("cycle", "approve", string(cycleID), "--plan", string(made.Hash()), "--key", ben, "--break-glass", "it burns")
}

// Serves Q15: whose packages are installed unseen is for who signs to say.
func TestAPreApprovalIsSignedForTheRepositoriesAndDaysThatWereNamed(t *testing.T) {
	h := newHouse(t)
	ben := sshKey(t, "ben")
	key, err := trust.ParsePersonKey(string(read(t, ben+".pub")))
	require.NoError(t, err)
	h.root.Approvers = []trust.Approver{{Account: "ben", Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}}
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	const debian, other = "4CB50190207B4758A3F73A796ED0E7B82643E131", "0000000000000000000000000000000000000000"
	args := []string{"trust", "pre-approve", string(cycleID), "--repository-key", debian, "--days", "30", "--key", ben}
	for what, change := range map[string]func(*trust.PreApproval){
		"0000":         func(p *trust.PreApproval) { p.Keys = []string{other, debian} },
		other:          func(p *trust.PreApproval) { p.Keys = []string{other} },
		"30 days":      func(p *trust.PreApproval) { p.NotAfter = p.NotAfter.AddDate(0, 0, 60); p.RevertUntil = p.NotAfter },
		"the machines": func(p *trust.PreApproval) { p.Root = patching.DigestOf([]byte("x")) },
	} {
		h.owned("/pre-approvals", func(text string) string {
			p, err := trust.ReadPreApproval([]byte(text))
			require.NoError(t, err)
			change(&p)
			return string(p.Text())
		})
		r := h.run(args...)
		assert.Equal(t, ExitFailed, r.code, what)
		assert.Contains(t, r.errs, what)
		assert.Contains(t, r.errs, "tell whoever runs the server")
	}
	h.owned("/pre-approvals", func(text string) string { return text })
	require.Contains(t, h.ok(args...), "Signed by 1")
}

// Who signs for an approver signs what that one would.
func TestADelegateSignsAPreApproval(t *testing.T) {
	h := newHouse(t)
	ben, dee := sshKey(t, "ben"), sshKey(t, "dee")
	key, err := trust.ParsePersonKey(string(read(t, ben+".pub")))
	require.NoError(t, err)
	h.root.Approvers = []trust.Approver{{Account: "ben", Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}}}
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	args := []string{"trust", "pre-approve", string(cycleID), "--repository-key", "4CB50190207B4758A3F73A796ED0E7B82643E131", "--key", dee}
	require.Contains(t, h.run(args...).errs, "no approver's key")
	last := noon.AddDate(0, 0, 9).Format(time.DateOnly)
	delegate := []string{"trust", "delegate", "--from", "ben", "--to", "dee", "--to-key", dee + ".pub", "--until", last, "--reason", "holiday", "--key", ben}
	require.Contains(t, h.run(append(delegate, "--scope", "polcy:demo")...).errs, "--scope polcy:demo: want policy:NAME or *")
	require.Contains(t, h.ok(append(delegate, "--scope", "policy:demo")...), "dee signs for ben (policy:demo) from 2026-11-20 until "+last)
	require.Contains(t, h.ok(args...), "Signed by 1")
}

// Serves U1: by as many people as a monthly cycle takes, who sign one after the other.
func TestSeveralPeopleSignOnePreApproval(t *testing.T) {
	h := newHouse(t)
	keys := map[patching.AccountName]string{}
	for _, name := range []patching.AccountName{"ben", "dee"} {
		keys[name] = sshKey(t, string(name))
		key, err := trust.ParsePersonKey(string(read(t, keys[name]+".pub")))
		require.NoError(t, err)
		h.root.Approvers = append(h.root.Approvers, trust.Approver{Account: name, Key: key, Roles: []string{trust.RoleApprover}, Scopes: []string{"*"}})
	}
	h.root.Quorum.Monthly = 2
	made, _ := sealedPlan(t)
	h.sealedCycle(made)
	sign := func(as patching.AccountName, more ...string) string {
		return h.ok(append([]string{"trust", "pre-approve", string(cycleID), "--repository-key", "4CB50190207B4758A3F73A796ED0E7B82643E131", "--key", keys[as]}, more...)...)
	}
	require.Contains(t, sign("ben"), "Signed by 1")
	h.later.Store(int64(time.Hour))
	text := filepath.Join(t.TempDir(), "text")
	draft := h.ok("trust", "pre-approve", string(cycleID), "--repository-key", "4CB50190207B4758A3F73A796ED0E7B82643E131", "--days", "60", "--draft")
	require.NoError(t, os.WriteFile(text, []byte(draft), 0o600))
	out, err := exec.Command("ssh-keygen", "-Y", "sign", "-f", keys["ben"], "-n", string(trust.PreApprovalPaper), text).CombinedOutput()
	require.NoError(t, err, string(out))
	elsewhere := []string{"trust", "pre-approve", string(cycleID), "--repository-key", "4CB50190207B4758A3F73A796ED0E7B82643E131", "--days", "60", "--text", text}
	require.Contains(t, h.run(elsewhere...).errs, "go together")
	require.Contains(t, h.ok(append(elsewhere, "--signature", text+".sig")...), "Signed by 1")
	require.Contains(t, sign("dee", "--days", "30"), "Signed by 1", "what is not the same is another one")
	require.Contains(t, sign("dee"), "Signed by 2")
	h.later.Store(int64(2 * time.Hour))
	require.Contains(t, sign("dee"), "Signed by 1", "the next one is begun when this one holds")
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}
