package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	lab "github.com/patchcycle/patchcycle/lab/certificate"
)

// certificate is a server's own, for 127.0.0.1.
type certificate struct {
	cert, key string // files
	pool      *x509.CertPool
}

func makeCertificate(dir string) (c certificate, err error) {
	own, err := lab.For(net.IPv4(127, 0, 0, 1), time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		return c, err
	}
	c = certificate{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), x509.NewCertPool()}
	c.pool.AppendCertsFromPEM(own.Certificate)
	return c, errors.Join(os.WriteFile(c.cert, own.Certificate, 0o600), os.WriteFile(c.key, own.Key, 0o600))
}

func (c certificate) trusted() *tls.Config {
	return &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS13}
}
