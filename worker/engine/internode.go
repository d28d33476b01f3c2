package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"

	"go.temporal.io/server/common/rpc/encryption"
)

// internode closes the ports on which the services of the server meet: whoever
// reaches those without it is taken for the server itself. It is mutual TLS
// with a key that exists in this process only and is new at each start.
//
// It also carries the public frontend's certificate, where there is one.
type internode struct {
	cert     tls.Certificate
	pool     *x509.CertPool
	frontend *tls.Certificate
}

const internodeName = "patchcycle-internode"

var _ encryption.TLSConfigProvider = (*internode)(nil)

// newInternode makes a certificate that is server, client and authority at once.
func newInternode() (*internode, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: internodeName},
		DNSNames:              []string{internodeName},
		NotBefore:             now.Add(-24 * time.Hour), // clocks are set back at times
		NotAfter:              now.AddDate(20, 0, 0),    // no process runs longer
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	i := &internode{
		cert: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		pool: x509.NewCertPool(),
	}
	i.pool.AddCert(leaf)
	return i, nil
}

// serveFrontend has the public frontend speak TLS; without files it stays plain.
func (i *internode) serveFrontend(certFile, keyFile string) error {
	if certFile == "" {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	i.frontend = &cert
	return nil
}

// clientTLS is for clients in this process: nil where the frontend is plain. It
// takes the one certificate that we serve and no other, whatever name is in it.
func (i *internode) clientTLS() *tls.Config {
	if i.frontend == nil {
		return nil
	}
	ours := i.frontend.Certificate[0]
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // replaced by the comparison below
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || !bytes.Equal(s.PeerCertificates[0].Raw, ours) {
				return errors.New("the engine's port shows a certificate that is not the engine's")
			}
			return nil
		},
	}
}

// GetInternodeServerConfig is for history, matching, worker and internal frontend.
func (i *internode) GetInternodeServerConfig() (*tls.Config, error) {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{i.cert},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    i.pool,
	}, nil
}

// GetInternodeClientConfig is for calls between them.
func (i *internode) GetInternodeClientConfig() (*tls.Config, error) {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		ServerName:   internodeName,
		Certificates: []tls.Certificate{i.cert},
		RootCAs:      i.pool,
	}, nil
}

// GetFrontendServerConfig is for the public frontend: nil leaves it plain.
func (i *internode) GetFrontendServerConfig() (*tls.Config, error) {
	if i.frontend == nil {
		return nil, nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*i.frontend}}, nil
}

// GetFrontendClientConfig is not used beside an internal frontend.
func (i *internode) GetFrontendClientConfig() (*tls.Config, error) { return i.clientTLS(), nil }

// GetRemoteClusterClientConfig is not used: there is no other cluster.
func (i *internode) GetRemoteClusterClientConfig(string) (*tls.Config, error) { return nil, nil }

// GetExpiringCerts has nothing to report: the certificate outlives the process.
func (i *internode) GetExpiringCerts(time.Duration) (expiring, expired encryption.CertExpirationMap, err error) {
	return nil, nil, nil
}
