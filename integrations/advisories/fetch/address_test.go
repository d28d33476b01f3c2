package fetch_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
)

// elsewhere are addresses that a feed must not lead to.
var elsewhere = []string{
	"127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255",
	"192.0.0.8", "198.18.0.1", "192.0.2.1", "240.0.0.1",
	"::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "fec0::1", "::ffff:127.0.0.1", "::127.0.0.1",
	"64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "3fff::1", "100::1", "4000::1",
}

// Serves Q15.
func TestANameThatResolvesIntoTheHouseIsNotDialled(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secret") })
	h.source.Private = false
	for _, address := range elsewhere {
		h.names.is(host, address)
		_, err := h.get(fetch.Validators{})
		require.ErrorContains(t, err, "is no address in the internet", address)
	}
	// One good address among them does not open the others.
	h.names.is(host, "127.0.0.1", "10.0.0.1")
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "is no address in the internet")
	assert.Empty(t, h.asked)
	assert.Empty(t, h.waits, "waiting makes no address public")
}

func TestAnOwnMirrorMayBeInTheHouseButNotWhereNoMirrorIs(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "feed") })
	_, err := h.get(fetch.Validators{})
	require.NoError(t, err)
	h.has("feed")
	for _, address := range []string{"169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::ffff:169.254.169.254"} {
		h.names.is(host, address)
		_, err := h.get(fetch.Validators{})
		require.Error(t, err, address)
	}
	assert.Len(t, h.asked, 1)
}

// The name is good when the address is configured, good when it is asked first, and
// changes then: only what is dialled counts.
func TestANameThatChangesToAnotherAddressIsFoundOutWhenItIsDialled(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		fmt.Fprint(w, "feed")
	})
	v := fetch.New(h.client).Visit(h.source)
	defer v.Close()
	_, err := v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, h.file)
	require.NoError(t, err)
	h.names.is(host, "169.254.169.254")
	_, err = v.Get(t.Context(), h.url("/feed.json"), fetch.Validators{}, h.file)
	require.ErrorContains(t, err, "169.254.169.254 is no address of a mirror")
}

// Serves Q15.
func TestARedirectIntoTheHouseIsNotFollowedThoughTheHostItselfMayBeThere(t *testing.T) {
	target := "/"
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target, http.StatusFound) })
	for _, to := range []string{
		"https://169.254.169.254/latest/meta-data", "https://10.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
		"https://localhost/", "https://other.example/feed.json", "//other.example/feed.json", "https://example.com:1/", "https://example.com./",
	} {
		target = to
		_, err := h.get(fetch.Validators{})
		require.ErrorContains(t, err, "the host is not configured", to)
	}
	target = "https://ana:secret@example.com/"
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "a name or password")
	require.NotContains(t, err.Error(), "secret")
	target = "http://" + fetch.HostPort(h.url("/"))
	_, err = h.get(fetch.Validators{})
	require.ErrorContains(t, err, "it is not https")
	h.source.Plain = true
	_, err = h.get(fetch.Validators{})
	require.ErrorContains(t, err, "from https to http")
	target = "ftp://" + fetch.HostPort(h.url("/"))
	_, err = h.get(fetch.Validators{})
	require.ErrorContains(t, err, "it is not https")
	target = "/again"
	_, err = h.get(fetch.Validators{})
	require.ErrorContains(t, err, "redirected more than 5 times")
	assert.Empty(t, h.waits, "none of these passes by waiting")
}

func TestAHostThatIsListedForRedirectsIsFollowedIntoTheInternetAlone(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://files.example/feed.json", http.StatusFound)
	})
	h.source.Redirects = []string{"files.example:443"}
	h.names.is("files.example", "127.0.0.1")
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "127.0.0.1 is no address in the internet", "private is said of the source's own host")
}

func TestAKeyGoesToItsOwnHostAlone(t *testing.T) {
	var away []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		away = append(away, r.Header.Get("apiKey"))
		fmt.Fprint(w, "feed")
	}))
	defer other.Close()
	at, err := url.Parse(other.URL)
	require.NoError(t, err)
	own := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("apiKey") != "open sesame" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.Redirect(w, r, "http://localhost:"+at.Port()+"/", http.StatusFound)
	}))
	defer own.Close()
	from, err := url.Parse(own.URL)
	require.NoError(t, err)
	h := newHouse(t, nil)
	h.names.is("localhost", "127.0.0.1")
	h.source = fetch.Source{Hosts: []string{fetch.HostPort(from)}, Redirects: []string{"localhost:" + at.Port()}, Private: true, Plain: true, Header: "apiKey", Key: "open sesame"}
	// The other host is in the house, where a redirect does not lead: so it is asked
	// through a proxy, which nobody checks.
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := own.Config.Handler
		if r.URL.Port() == at.Port() {
			to = other.Config.Handler
		}
		to.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	h.client.Proxy, err = url.Parse(proxy.URL)
	require.NoError(t, err)
	_, err = h.getFrom(from, fetch.Validators{})
	require.NoError(t, err)
	h.has("feed")
	assert.Equal(t, []string{""}, away)

	h.source.Key = "wrong"
	_, err = h.getFrom(from, fetch.Validators{})
	require.ErrorContains(t, err, "is the key in the key file the right one?")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", h.source, h.source, h.source, err), "wrong")
}

func TestTheEnvironmentChoosesNoProxy(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "feed") })
	_, err := h.get(fetch.Validators{})
	require.NoError(t, err)
}

func TestACertificateThatNobodyVouchesForIsRefused(t *testing.T) {
	h := newHouse(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "feed") })
	h.source.Authorities = nil
	_, err := h.get(fetch.Validators{})
	require.ErrorContains(t, err, "certificate")
	assert.Empty(t, h.waits)
}
