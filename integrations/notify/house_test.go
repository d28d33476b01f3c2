package notify_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// digest is a message with what machines and people may have written into it.
func digest(words string) notice.Digest {
	c := notice.Compose(notice.Recipient{Name: "ops", Roles: patching.Roles(), Lines: 40}, notice.Alerts, 0)
	c.Add(notice.Queued{Seq: 1, Recorded: noon, Notice: notice.Notice{
		ID: "1", Kind: notice.CycleHalted, Severity: notice.Urgent, Site: "berlin", Subject: "web\r\nBcc: all@example.org\r\n\r\nhello", Words: words,
	}})
	return c.Digest("flåte\r\nBcc: all@example.org", noon)
}

// certificate is one for this machine that signs itself, with the file to trust it by.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// post is a mail server of this test.
type post struct {
	t    *testing.T
	addr string
	// user and password let in; empty: everybody.
	user, password string
	// take judges a mail after all of it has come.
	take func(n int, c *smtp.Conn) error
	// reset is called when the client resets the session after a mail.
	reset func(c *smtp.Conn)

	mu    sync.Mutex
	mails []mailed
}

type mailed struct {
	from, user string
	to         []string
	text       []byte
	secure     bool
}

// serve starts the server: with STARTTLS if there is a certificate, or TLS from the
// first byte.
func (p *post) serve(cert *tls.Certificate, immediate bool) *post {
	p.t.Helper()
	s := smtp.NewServer(p)
	s.Domain, s.ErrorLog = "localhost", quiet{}
	s.AllowInsecureAuth = true // that nobody's password goes in the clear is what the client has to see to
	line, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	p.addr = line.Addr().String()
	if cert != nil {
		config := &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
		if immediate {
			line = tls.NewListener(line, config)
		} else {
			s.TLSConfig = config
		}
	}
	go func() { _ = s.Serve(line) }()
	p.t.Cleanup(func() { _ = s.Close() })
	return p
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (p *post) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{post: p, conn: c}, nil }

// got returns the mails that came, taken or not.
func (p *post) got() []mailed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mails
}

type session struct {
	post *post
	conn *smtp.Conn
	is   mailed
	done bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.post.user || password != s.post.password {
			return errors.New("wrong password")
		}
		s.is.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.post.user != "" && s.is.user == "" {
		return smtp.ErrAuthRequired
	}
	s.is.from, s.is.to = from, nil
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if to == "nobody@example.org" {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such person"}
	}
	s.is.to = append(s.is.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.is.text = text
	_, s.is.secure = s.conn.TLSConnectionState()
	s.post.mu.Lock()
	s.post.mails = append(s.post.mails, s.is)
	n := len(s.post.mails)
	s.post.mu.Unlock()
	s.done = true
	if s.post.take != nil {
		return s.post.take(n, s.conn)
	}
	return nil
}

func (s *session) Reset() {
	if s.done && s.post.reset != nil {
		s.post.reset(s.conn)
	}
}

func (*session) Logout() error { return nil }

// folder is a server's data directory.
type folder struct {
	t   *testing.T
	dir string
}

func newFolder(t *testing.T) folder {
	t.Helper()
	return folder{t, t.TempDir()}
}

func (f folder) write(name, text string) string {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	require.NoError(f.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// channel reads a configuration of one recipient and returns its channel.
func (f folder) channel(text string) notify.Channel {
	f.t.Helper()
	config, err := notify.Read(f.write("notify.yaml", text))
	require.NoError(f.t, err)
	require.NotEmpty(f.t, config.Recipients)
	return config.Recipients[0].Channel
}
