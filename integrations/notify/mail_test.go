package notify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"
)

func mailConfig(server, more string) string {
	return fmt.Sprintf("mail:\n  server: %s\n  from: Patch Cycle <patchcycle@example.org>\n%srecipients:\n- name: ops\n  mail: Ops Team <ops@example.org>\n  roles: [operator]\n", server, more)
}

func parse(t *testing.T, text []byte) (*netmail.Message, string) {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	require.NoError(t, err)
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	require.NoError(t, err)
	return m, strings.ReplaceAll(string(body), "\r\n", "\n")
}

// Serves G4.
func TestAMailArrivesEncryptedLoggedInAndAsItWasWritten(t *testing.T) {
	cert, ca := certificate(t)
	for name, c := range map[string]struct {
		immediate bool
		tls       string
	}{"with STARTTLS": {false, "starttls"}, "with TLS from the first byte": {true, "tls"}} {
		t.Run(name, func(t *testing.T) {
			p := (&post{t: t, user: "patchcycle", password: "p@ss wörd"}).serve(&cert, c.immediate)
			f := newFolder(t)
			f.write("secret", "p@ss wörd\n")
			channel := f.channel(mailConfig(p.addr, "  tls: "+c.tls+"\n  ca_file: "+ca+"\n  user: patchcycle\n  password_file: secret\n"))
			d := digest("3 of 10 failed – zu viele")
			require.NoError(t, channel.Send(t.Context(), d))
			require.Len(t, p.got(), 1)
			got := p.got()[0]
			require.True(t, got.secure)
			require.Equal(t, "patchcycle", got.user)
			require.Equal(t, "patchcycle@example.org", got.from)
			require.Equal(t, []string{"ops@example.org"}, got.to)

			m, body := parse(t, got.text)
			require.Equal(t, d.Text(), body)
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			require.NoError(t, err)
			require.Equal(t, "[flåte Bcc: all@example.org] URGENT: 1 halt", subject)
			require.Equal(t, "<"+string(d.ID)+"@example.org>", m.Header.Get("Message-ID"))
			date, err := m.Header.Date()
			require.NoError(t, err)
			require.True(t, noon.Equal(date))
			require.Equal(t, `"Ops Team" <ops@example.org>`, m.Header.Get("To"))
			require.Contains(t, m.Header.Get("Content-Type"), "text/plain")
			require.Contains(t, m.Header.Get("Content-Type"), "UTF-8")
			require.Equal(t, "1.0", m.Header.Get("MIME-Version"))
			require.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			for line := range strings.Lines(string(got.text)) {
				require.LessOrEqual(t, len(line), 998+2, "RFC 5322, 2.1.1")
			}
		})
	}
}

func TestNobodyCanWriteAHeaderByTheNameOfAMachine(t *testing.T) {
	p := (&post{t: t}).serve(nil, false)
	channel := newFolder(t).channel(mailConfig(p.addr, ""))
	require.NoError(t, channel.Send(t.Context(), digest("x\r\n.\r\nMAIL FROM:<evil@example.org>\r\nBcc: all@example.org")))
	require.Len(t, p.got(), 1)
	m, body := parse(t, p.got()[0].text)
	require.Empty(t, m.Header.Get("Bcc"))
	require.Len(t, m.Header["Subject"], 1)
	require.Equal(t, []string{"ops@example.org"}, p.got()[0].to)
	require.NotContains(t, body, "\nBcc")
	require.NotContains(t, body, "\n.\n")
}

// Serves Q15.
func TestALineThatIsNotEncryptedIsNotUsedUnlessItIsMarkedSo(t *testing.T) {
	cert, _ := certificate(t)
	_, other := certificate(t)
	t.Run("a server that offers no STARTTLS", func(t *testing.T) {
		p := (&post{t: t}).serve(nil, false)
		err := newFolder(t).channel(mailConfig(p.addr, "  tls: starttls\n")).Send(t.Context(), digest("x"))
		require.ErrorContains(t, err, "STARTTLS")
		require.Empty(t, p.got())
	})
	for _, how := range []string{"starttls", "tls"} {
		t.Run("a certificate of a stranger, "+how, func(t *testing.T) {
			p := (&post{t: t}).serve(&cert, how == "tls")
			err := newFolder(t).channel(mailConfig(p.addr, "  tls: "+how+"\n  ca_file: "+other+"\n")).Send(t.Context(), digest("x"))
			require.ErrorContains(t, err, "certificate")
			require.Empty(t, p.got())
		})
	}
	t.Run("a server on this machine", func(t *testing.T) {
		p := (&post{t: t, user: "u", password: "secret-word"}).serve(nil, false)
		f := newFolder(t)
		f.write("secret", "secret-word")
		require.NoError(t, f.channel(mailConfig(p.addr, "  user: u\n  password_file: secret\n")).Send(t.Context(), digest("x")))
		require.False(t, p.got()[0].secure)
	})
}

func TestAMailThatIsRefusedSaysWhyAndNotThePassword(t *testing.T) {
	cert, ca := certificate(t)
	p := (&post{t: t, user: "u", password: "another"}).serve(&cert, false)
	f := newFolder(t)
	f.write("secret", "secret-word")
	err := f.channel(mailConfig(p.addr, "  tls: starttls\n  ca_file: "+ca+"\n  user: u\n  password_file: secret\n")).Send(t.Context(), digest("x"))
	require.ErrorContains(t, err, "mail to ops@example.org by 127.0.0.1:")
	require.NotContains(t, err.Error(), "secret-word")

	q := (&post{t: t}).serve(nil, false)
	text := strings.Replace(mailConfig(q.addr, ""), "Ops Team <ops@example.org>", "nobody@example.org", 1)
	require.ErrorContains(t, newFolder(t).channel(text).Send(t.Context(), digest("x")), "no such person")
}

func TestAServerThatIsBusyGetsTheSameMailAgain(t *testing.T) {
	p := (&post{t: t, take: func(n int, _ *smtp.Conn) error {
		if n == 1 {
			return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "try later"}
		}
		return nil
	}}).serve(nil, false)
	channel := newFolder(t).channel(mailConfig(p.addr, ""))
	require.ErrorContains(t, channel.Send(t.Context(), digest("x")), "try later")
	require.NoError(t, channel.Send(t.Context(), digest("x")))
	sameMail(t, p)
}

// What SMTP does not promise: whether a mail was taken whose answer was lost.
func TestAMailWhoseAnswerWasLostIsSentAgainUnderTheSameMessageID(t *testing.T) {
	p := (&post{t: t, take: func(n int, c *smtp.Conn) error {
		if n == 1 {
			_ = c.Conn().Close()
		}
		return nil
	}}).serve(nil, false)
	channel := newFolder(t).channel(mailConfig(p.addr, ""))
	require.Error(t, channel.Send(t.Context(), digest("x")))
	require.NoError(t, channel.Send(t.Context(), digest("x")))
	sameMail(t, p)
}

func sameMail(t *testing.T, p *post) {
	t.Helper()
	require.Len(t, p.got(), 2)
	first, _ := parse(t, p.got()[0].text)
	second, _ := parse(t, p.got()[1].text)
	require.NotEmpty(t, first.Header.Get("Message-ID"))
	require.Equal(t, first.Header.Get("Message-ID"), second.Header.Get("Message-ID"))
	require.Equal(t, first.Header.Get("Date"), second.Header.Get("Date"))
}

func TestAServerThatBreaksAfterItTookTheMailHasTakenIt(t *testing.T) {
	p := (&post{t: t, reset: func(c *smtp.Conn) { _ = c.Conn().Close() }}).serve(nil, false)
	require.NoError(t, newFolder(t).channel(mailConfig(p.addr, "")).Send(t.Context(), digest("x")))
	require.Len(t, p.got(), 1)
}

func TestAServerThatTalksWithoutEndOrNotAtAllIsLeft(t *testing.T) {
	serve := func(talk func(net.Conn)) string {
		line, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = line.Close() })
		go func() {
			for {
				conn, err := line.Accept()
				if err != nil {
					return
				}
				go talk(conn)
			}
		}()
		return line.Addr().String()
	}
	talker := serve(func(c net.Conn) {
		defer c.Close()
		_, _ = io.Copy(c, io.LimitReader(endless{}, 1<<30))
	})
	require.ErrorContains(t, newFolder(t).channel(mailConfig(talker, "")).Send(t.Context(), digest("x")), "more than any mail server has to say")

	heard := make(chan struct{})
	mute := serve(func(net.Conn) { close(heard) })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- newFolder(t).channel(mailConfig(mute, "")).Send(ctx, digest("x")) }()
	<-heard
	cancel()
	select {
	case err := <-ended:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(30 * time.Second):
		t.Fatal(errors.New("it waits for a server that says nothing"))
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '2'
	}
	return len(p), nil
}
