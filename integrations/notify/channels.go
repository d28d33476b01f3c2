package notify

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/plainyaml"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

func (c *checker) channel(e recipientEntry, server *MailServer, hooks map[string]Webhook) Channel {
	switch {
	case (e.Mail.Text == "") == (e.Webhook.Text == ""):
		c.Say(max(1, e.Name.Line), "recipient %s: give mail or webhook, one of them: for both, write two recipients", e.Name.Text)
	case e.Webhook.Text != "":
		hook, ok := hooks[e.Webhook.Text]
		if !ok {
			c.Add(e.Webhook, "webhook", "no webhook has this name: list it under \"webhooks:\"")
		}
		return hook
	default:
		to := c.address("mail", e.Mail)
		if server == nil {
			c.Add(e.Mail, "mail", "no server would take it: add \"mail:\" with server and from")
		}
		if to != nil && server != nil {
			return Mail{Server: *server, To: to}
		}
	}
	return nil
}

// address takes one address with a domain, and a name if there is one.
func (c *checker) address(field string, w plainyaml.Word) *netmail.Address {
	a, err := netmail.ParseAddress(w.Text)
	if err != nil || strings.ContainsAny(w.Text, "\r\n") {
		c.Add(w, field, "want one address, such as ops@example.org")
		return nil
	}
	if local, domain, ok := strings.Cut(a.Address, "@"); !ok || local == "" || domain == "" || strings.ContainsAny(a.Address, " \t<>\"") {
		c.Add(w, field, "want an address with a domain, such as ops@example.org")
		return nil
	}
	return a
}

func (c *checker) mail(e *mailEntry) *MailServer {
	if e == nil {
		return nil
	}
	s := &MailServer{User: e.User.Text, Roots: c.roots(e.CAFile), From: c.address("from", e.From)}
	if s.From == nil {
		s.From = &netmail.Address{}
	}
	host, port, err := net.SplitHostPort(e.Server.Text)
	n, wrong := strconv.ParseUint(port, 10, 16)
	if err != nil || wrong != nil || n == 0 || host == "" {
		c.Add(e.Server, "server", "want host:port, such as mail.example.org:587")
	}
	s.Host, s.Port, s.Security = host, int(n), Security(e.TLS.Text)
	switch s.Security {
	case StartTLS, TLS, Plain:
	case "":
		if s.Security = StartTLS; loopback(host) {
			s.Security = Plain
		}
	default:
		c.Add(e.TLS, "tls", "want starttls (587), tls (465), or none for a line that others cannot reach")
	}
	if (s.User == "") != (e.PasswordFile.Text == "") {
		c.Say(max(1, e.Server.Line), "mail: user and password_file go together")
	}
	if s.User != "" && s.Security == Plain && !loopback(host) {
		c.Add(e.User, "user", "the password would travel in the clear: use tls, or no user")
	}
	if e.PasswordFile.Text != "" {
		s.Password = string(c.secret("password_file", e.PasswordFile))
	}
	return s
}

func (c *checker) webhooks(entries []webhookEntry) map[string]Webhook {
	if len(entries) > maxWebhooks {
		c.Say(1, "%d webhooks: write at most %d", len(entries), maxWebhooks)
		entries = entries[:maxWebhooks]
	}
	hooks := map[string]Webhook{}
	for n, e := range entries {
		if !nameShape.MatchString(e.Name.Text) {
			c.Say(max(1, e.Name.Line), "webhook %d: name %q: %s", n+1, e.Name.Text, wantName)
		}
		if _, twice := hooks[e.Name.Text]; twice {
			c.Add(e.Name, "name", "another webhook has this name: choose another")
		}
		hooks[e.Name.Text] = Webhook{Name: e.Name.Text, URL: c.url(e), Roots: c.roots(e.CAFile), Secret: c.signing(e), Now: time.Now}
	}
	return hooks
}

func (c *checker) url(e webhookEntry) *url.URL {
	u, err := url.Parse(e.URL.Text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		c.Say(max(e.Name.Line, e.URL.Line, 1), "url of webhook %s: want https://host/path", e.Name.Text)
	case u.User != nil:
		c.Say(e.URL.Line, "url of webhook %s: it has a password in it: the signature says who sends", e.Name.Text)
	case u.Fragment != "":
		c.Say(e.URL.Line, "url of webhook %s: remove what follows #", e.Name.Text)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		c.Say(e.URL.Line, "url of webhook %s: what is told would travel in the clear: use https://, or an address of this machine", e.Name.Text)
	default:
		return u
	}
	return &url.URL{}
}

func (c *checker) roots(w plainyaml.Word) *x509.CertPool {
	if w.Text == "" {
		return nil
	}
	text, err := readRegular(c.Beside(w.Text), maxRoots)
	roots := x509.NewCertPool()
	if err == nil && !roots.AppendCertsFromPEM(text) {
		err = fmt.Errorf("%s has no certificate in PEM", c.Beside(w.Text))
	}
	if err != nil {
		c.Add(w, "ca_file", err.Error()+": give the certificates of who signed the server's, in PEM")
	}
	return roots
}

// shortestSecret is what the Standard Webhooks ask for, in bytes.
const shortestSecret = 24

// signing reads a webhook's secret: "whsec_" and base64, as others write them, or
// any text.
func (c *checker) signing(e webhookEntry) []byte {
	if e.SecretFile.Text == "" {
		c.Say(max(1, e.Name.Line), "webhook %s has no secret_file: whoever gets it could not tell who sent it; "+
			"make one with: (umask 077; openssl rand -base64 32 > %s.secret)", e.Name.Text, e.Name.Text)
		return nil
	}
	secret := c.secret("secret_file", e.SecretFile)
	if coded, ok := bytes.CutPrefix(secret, []byte("whsec_")); ok {
		plain, err := base64.StdEncoding.DecodeString(string(coded))
		if err != nil {
			c.Add(e.SecretFile, "secret_file", "what follows whsec_ is no base64: copy it again")
			return nil
		}
		secret = plain
	}
	if len(secret) > 0 && len(secret) < shortestSecret {
		c.Add(e.SecretFile, "secret_file", fmt.Sprintf("it has %d bytes, want %d or more: openssl rand -base64 32", len(secret), shortestSecret))
	}
	return secret
}

// secret reads the one line of a file that nobody else may read.
func (c *checker) secret(field string, w plainyaml.Word) []byte {
	path := c.Beside(w.Text)
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.Add(w, field, err.Error()+": write the secret there, as one line")
		return nil
	case info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows":
		c.Add(w, field, "others can read it: chmod 600 "+path)
		return nil
	}
	text, err := readRegular(path, maxSecret)
	if err != nil {
		c.Add(w, field, err.Error())
		return nil
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 || bytes.ContainsAny(text, "\r\n\x00") {
		c.Add(w, field, "want one line with the secret")
		return nil
	}
	return text
}

// Bounds of the files that the configuration names, in bytes.
const (
	maxRoots  = 1 << 20
	maxSecret = 4 << 10
)

// readRegular reads a file, and not what would never end or never begin.
func readRegular(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	}
	return unpack.ReadFile(path, limit)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
