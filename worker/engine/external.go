package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	"go.uber.org/zap"
)

// connect uses a cluster that runs elsewhere.
func (e *Engine) connect(ctx context.Context, o Options) error {
	x := o.External
	e.addr = x.Address
	encryption, err := x.tlsConfig()
	if err != nil {
		return err
	}
	if e.client, err = dial(ctx, o, x.Address, x.Token, encryption); err != nil {
		return err
	}
	e.onStop(e.client.Close)
	if err := namespaceOf(o, x.Address, e.client, theirs).ensure(ctx); err != nil {
		return err
	}
	stranger := encryption.Clone() // nil stays nil
	if stranger != nil {
		stranger.Certificates = nil
	}
	err = refusesStrangers(ctx, x.Address, o.Namespace, stranger)
	if errors.Is(err, errOpen) {
		if !x.Open {
			return fmt.Errorf("the Temporal cluster at %s let a caller without credentials in, so anybody who reaches it could approve or end a cycle: "+
				"have its administrator turn on an authorizer, or, if only trusted people can reach it, set option External.Open", x.Address)
		}
		o.Logger.Warn("the Temporal cluster asks nobody for credentials: whoever reaches it can steer cycles", zap.String("address", x.Address))
		return nil
	}
	return err
}

func (x External) tlsConfig() (*tls.Config, error) {
	if !x.encrypted() {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: x.ServerName}
	if c.ServerName == "" {
		host, _, err := net.SplitHostPort(x.Address)
		if err != nil {
			return nil, fmt.Errorf("option External.Address: %w", err)
		}
		c.ServerName = host
	}
	if x.CAFile != "" {
		pem, err := os.ReadFile(x.CAFile)
		if err != nil {
			return nil, fmt.Errorf("option External.CAFile: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("option External.CAFile: %s holds no PEM certificate", x.CAFile)
		}
	}
	if x.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(x.CertFile, x.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("option External.CertFile: %w", err)
		}
		c.Certificates = []tls.Certificate{cert}
	}
	return c, nil
}
