package certificate

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhoTrustsACertificateSpeaksToItsServerAtItsTime(t *testing.T) {
	now := time.Now()
	for what, c := range map[string]struct {
		from, until time.Time
		wrong       string
	}{
		"valid":   {now.Add(-time.Hour), now.Add(time.Hour), ""},
		"over":    {now.Add(-2 * time.Hour), now.Add(-time.Hour), "expired"},
		"not yet": {now.Add(time.Hour), now.Add(2 * time.Hour), "not yet valid"},
	} {
		t.Run(what, func(t *testing.T) {
			pair, err := For(net.IPv4(127, 0, 0, 1), c.from, c.until)
			require.NoError(t, err)
			own, err := tls.X509KeyPair(pair.Certificate, pair.Key)
			require.NoError(t, err)
			srv := httptest.NewUnstartedServer(http.NotFoundHandler())
			srv.TLS = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS13}
			srv.StartTLS()
			t.Cleanup(srv.Close)
			pool := x509.NewCertPool()
			require.True(t, pool.AppendCertsFromPEM(pair.Certificate))
			client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}}
			resp, err := client.Get(srv.URL)
			if c.wrong != "" {
				require.ErrorContains(t, err, c.wrong)
				return
			}
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		})
	}
}
