// Package sources reads the file that says where feeds come from, who answers for them
// and how often they are asked for.
package sources

import (
	"crypto/x509"
	"net/url"
	"time"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// Config is what the file says.
type Config struct {
	// Proxy is asked in the place of all hosts; nil: none.
	Proxy *url.URL
	Feeds []Source
}

// Source is a feed and how it is brought. What it consists of is in one of Documents,
// Pages and Repository; in none where it comes by import alone.
type Source struct {
	patching.FeedSource
	Documents []Document
	// Pages is an address in which {start} stands for the number of the first record.
	Pages string
	// Changes is what is added to Pages to ask for what changed between {since} and
	// {until}; empty: all pages are brought each time.
	Changes    string
	Repository *Repository

	// Redirects are the hosts, as [fetch.HostPort] writes them, that it may send to.
	Redirects      []string
	Private, Plain bool
	KeyHeader      string
	KeyFile        string
	Pause          time.Duration
	Authorities    *x509.CertPool
	// Keys are those that may sign it; none: it is not signed, or nobody checks.
	Keys apt.Keys
}

// Document is an address, or one for each month or year.
type Document struct {
	// URL may have {year}, {month} (01 to 12) and {Mon} (Jan to Dec) in it.
	URL string
	// From is the first month or year; zero where there is none in the URL.
	From time.Time
}

// Repository is which package lists of a Debian archive are brought.
type Repository struct {
	Root                              *url.URL
	Suites, Components, Architectures []string
}

const maxKey = 4 << 10

// Ask is the source as who fetches it knows it. The key is read each time, so that it
// can be replaced.
func (s Source) Ask() (fetch.Source, error) {
	ask := fetch.Source{
		Redirects: s.Redirects, Private: s.Private, Plain: s.Plain, Header: s.KeyHeader, Pause: s.Pause, Authorities: s.Authorities,
	}
	for _, u := range s.addresses() {
		ask.Hosts = append(ask.Hosts, fetch.HostPort(u))
	}
	if s.KeyFile != "" {
		text, err := unpack.ReadFile(s.KeyFile, maxKey)
		if err != nil {
			return ask, err
		}
		if ask.Key, err = secret(text); err != nil {
			return ask, err
		}
	}
	return ask, nil
}
