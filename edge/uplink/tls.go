package uplink

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/patchcycle/patchcycle/internal/unpack"
)

// maxAuthorities bounds what is read of authorities, in bytes: all those of Debian have
// 220 kB.
const maxAuthorities = 4 << 20

// TrustFile returns how a server is known by an authority of one's own: a PEM file.
// Without a name it is nil, and the machine's authorities count.
func TrustFile(name string) (*tls.Config, error) {
	if name == "" {
		return nil, nil
	}
	text, err := unpack.ReadFile(name, maxAuthorities)
	if err != nil {
		return nil, fmt.Errorf("certificate authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("certificate authority: %s holds no PEM certificate", name)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}
