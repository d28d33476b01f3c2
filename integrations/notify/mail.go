package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"strconv"
	"strings"
	"sync"

	"github.com/wneessen/go-mail"

	"github.com/patchcycle/patchcycle/patching/notice"
)

// Security is how the line to a mail server is kept from others.
type Security string

// The ways. STARTTLS is required, not merely tried: whoever sits on the line could
// take it out of the server's greeting.
const (
	StartTLS Security = "starttls"
	TLS      Security = "tls"
	// Plain is for a server on this machine, or on a line that others cannot reach.
	Plain Security = "none"
)

// MailServer is what accepts mails.
type MailServer struct {
	Host     string
	Port     int
	Security Security
	// Roots are who may vouch for its certificate; nil: whoever the system trusts.
	Roots *x509.CertPool
	// User and Password log in; empty: nobody does.
	User, Password string
	From           *netmail.Address
}

// Mail is the way to one address.
type Mail struct {
	Server MailServer
	To     *netmail.Address
}

var _ Channel = Mail{}

// Words names the address and the server.
func (m Mail) Words() string {
	return fmt.Sprintf("mail to %s by %s", m.To.Address, net.JoinHostPort(m.Server.Host, strconv.Itoa(m.Server.Port)))
}

// Send hands the message to the server. Its Message-ID is that of the digest, each
// time: whoever gets it twice, because the server's answer was lost, can tell.
func (m Mail) Send(ctx context.Context, d notice.Digest) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	msg := m.message(d)
	line := &mailLine{server: m.Server}
	// The library leaves a connection open whose greeting failed, and does not end
	// with the context once it is connected.
	defer line.close()
	stop := context.AfterFunc(ctx, line.close)
	defer stop()
	client, err := mail.NewClient(m.Server.Host, m.options(line)...)
	if err != nil {
		return fmt.Errorf("%s: %w", m.Words(), err)
	}
	if err := client.DialAndSendWithContext(ctx, msg); err != nil && !msg.IsDelivered() {
		return fmt.Errorf("%s: %w", m.Words(), errors.Join(err, ctx.Err()))
	}
	return nil // what went wrong after the server took it concerns nobody
}

func (m Mail) options(line *mailLine) []mail.Option {
	options := []mail.Option{
		mail.WithPort(m.Server.Port), mail.WithTimeout(within), mail.WithDialContextFunc(line.dial),
		mail.WithTLSPolicy(mail.NoTLS), // also where the line is encrypted before the first word
	}
	if m.Server.Security == StartTLS {
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(m.Server.tls()))
	}
	if m.Server.User != "" {
		// PLAIN and LOGIN are refused by the library where others could listen.
		options = append(options, mail.WithUsername(m.Server.User), mail.WithPassword(m.Server.Password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin))
	}
	return options
}

// message is plain text of RFC 5322. Its headers are made of what the file says, which
// was parsed, and of the subject, which is one printable line.
func (m Mail) message(d notice.Digest) *mail.Msg {
	msg := mail.NewMsg(mail.WithCharset(mail.CharsetUTF8), mail.WithEncoding(mail.EncodingQP), mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(m.Server.From)
	msg.ToMailAddress(m.To)
	msg.Subject(d.Subject())
	msg.SetDateWithValue(d.Made)
	_, domain, _ := strings.Cut(m.Server.From.Address, "@")
	msg.SetMessageIDWithValue(string(d.ID) + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer from an absent person
	if d.Lane == notice.Alerts {
		msg.SetImportance(mail.ImportanceHigh)
	}
	msg.SetBodyString(mail.TypeTextPlain, d.Text())
	return msg
}

func (s MailServer) tls() *tls.Config {
	return &tls.Config{ServerName: s.Host, RootCAs: s.Roots, MinVersion: tls.VersionTLS12}
}

// mailLine is the connection to a server. It can be closed while it is being made.
type mailLine struct {
	server MailServer

	mu     sync.Mutex
	conn   net.Conn
	closed bool
}

func (l *mailLine) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.conn != nil {
		_ = l.conn.Close()
	}
}

// open keeps the connection, so that close ends it.
func (l *mailLine) open(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = conn
	if l.closed {
		_ = conn.Close()
	}
}

func (l *mailLine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	conn = &boundedConn{Conn: conn, left: maxAnswer}
	l.open(conn)
	if l.server.Security != TLS {
		return conn, nil
	}
	secure := tls.Client(conn, l.server.tls())
	return secure, secure.HandshakeContext(ctx)
}

// maxAnswer is how much a server may say about one message: lines have no end of
// their own.
const maxAnswer = 1 << 20

var errTalks = errors.New("the server says more than any mail server has to say")

type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTalks
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
