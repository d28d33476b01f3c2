package notify_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/notify"
)

const secret = "a secret of more than 24 bytes"

// hook starts an HTTPS server and returns the channel to it.
func hook(t *testing.T, answer http.HandlerFunc) notify.Channel {
	t.Helper()
	s := httptest.NewTLSServer(answer)
	t.Cleanup(s.Close)
	f := newFolder(t)
	f.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	f.write("chat.secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(secret))+"\n")
	return f.channel(hookConfig(s.URL, "  ca_file: ca.pem\n"))
}

func hookConfig(url, more string) string {
	return "webhooks:\n- name: chat\n  url: " + url + "/room/very-secret\n  secret_file: chat.secret\n" + more +
		"recipients:\n- name: ops\n  webhook: chat\n  roles: [operator]\n"
}

// Serves G4.
func TestAWebhookGetsASignedMessageWithAnIDOfItsOwn(t *testing.T) {
	var ids []string
	channel := hook(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		unix, err := strconv.ParseInt(r.Header.Get(notify.HeaderTimestamp), 10, 64)
		if err != nil {
			t.Error(err)
		}
		at := time.Unix(unix, 0)
		if since := time.Since(at); since < -time.Minute || since > time.Minute {
			t.Errorf("signed %s ago", since)
		}
		if got, want := r.Header.Get(notify.HeaderSignature), notify.Sign([]byte(secret), r.Header.Get(notify.HeaderID), at, body); got != want {
			t.Errorf("signature %s, want %s", got, want)
		}
		var p notify.Payload
		if err := json.Unmarshal(body, &p); err != nil {
			t.Error(err)
		}
		d := digest("x\ny")
		if p.Type != "patchcycle.notices" || p.Subject != d.Subject() || p.Text != d.Text() || p.Data.Total != 1 || p.Data.Groups[0].Lines[0].Words != "x y" {
			t.Errorf("%+v", p)
		}
		if r.Method != http.MethodPost || r.URL.Path != "/room/very-secret" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		ids = append(ids, r.Header.Get(notify.HeaderID))
		if len(ids) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	require.ErrorContains(t, channel.Send(t.Context(), digest("x\ny")), "503")
	require.NoError(t, channel.Send(t.Context(), digest("x\ny")))
	require.Equal(t, []string{string(digest("").ID), string(digest("").ID)}, ids)
}

// The example of the specification (standardwebhooks.com, "Verifying signatures").
func TestASignatureIsThatOfTheStandardWebhooks(t *testing.T) {
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	require.NoError(t, err)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		notify.Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
}

func TestAnAnswerThatLeadsElsewhereIsNotFollowed(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	t.Cleanup(other.Close)
	for _, code := range []int{http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		channel := hook(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, code) })
		require.ErrorContains(t, channel.Send(t.Context(), digest("x")), fmt.Sprint("it answers ", code))
	}
	require.Zero(t, elsewhere)
}

func TestAnAnswerIsReadWithinBoundsAndToldOnOneLine(t *testing.T) {
	channel := hook(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "no such\nroom\x1b[31m")
	})
	err := channel.Send(t.Context(), digest("x"))
	require.ErrorContains(t, err, "it answers 400 Bad Request: no such room\uFFFD[31m")
	require.NotContains(t, err.Error(), "very-secret")

	channel = hook(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.Copy(w, io.LimitReader(endless{}, 1<<30))
	})
	err = channel.Send(t.Context(), digest("x"))
	require.ErrorContains(t, err, "500")
	require.Less(t, len(err.Error()), 1000)
}

// Serves Q15.
func TestAServerOfAnotherCertificateOrNoneGetsNothing(t *testing.T) {
	asked := 0
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	s.Config.ErrorLog = nil
	t.Cleanup(s.Close)
	_, other := certificate(t)
	f := newFolder(t)
	f.write("chat.secret", secret)
	err := f.channel(hookConfig(s.URL, "  ca_file: "+other+"\n")).Send(t.Context(), digest("x"))
	require.ErrorContains(t, err, "certificate")
	require.NotContains(t, err.Error(), "very-secret")
	s.Close()
	err = f.channel(hookConfig(s.URL, "")).Send(t.Context(), digest("x"))
	require.ErrorContains(t, err, "refused")
	require.NotContains(t, err.Error(), "very-secret", "a path may be as good as a password")
	require.Zero(t, asked)
	require.True(t, strings.HasPrefix(f.channel(hookConfig(s.URL, "")).Words(), "webhook chat at 127.0.0.1:"))
}
