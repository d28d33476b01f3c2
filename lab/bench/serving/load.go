package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/lab/usage"
)

// aptLike keeps as many connections as it has clients, each of one request at a time, as apt.
func aptLike(own certificate, clients int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: own.trusted(), MaxIdleConnsPerHost: clients, MaxConnsPerHost: clients, DisableCompression: true,
	}}
}

// firstLook fetches every file once, which brings it into the relay's cache, and compares
// its SHA-256.
func firstLook(ctx context.Context, own certificate, t target, k kind) error {
	c := aptLike(own, 1)
	defer c.CloseIdleConnections()
	buffer := make([]byte, readAtOnce)
	for _, f := range k.files {
		sum := sha256.New()
		if err := fetch(ctx, c, t.base+f.path, f.size, sum, buffer); err != nil {
			return err
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != f.sha256 {
			return fmt.Errorf("%s: what came has the SHA-256 %s", t.base+f.path, got)
		}
	}
	return nil
}

// readAtOnce is what a client reads at once, in bytes.
const readAtOnce = 256 << 10

// fetch reads a file and adds it to a sum.
func fetch(ctx context.Context, c *http.Client, at string, size int64, sum io.Writer, buffer []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.CopyBuffer(sum, struct{ io.Reader }{resp.Body}, buffer)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", at, err)
	case resp.StatusCode != http.StatusOK || n != size:
		return fmt.Errorf("%s: %s with %d bytes, want %d", at, resp.Status, n, size)
	}
	return nil
}

// load is what clients ask for in one run.
type load struct {
	kind    kind
	clients int
	bytes   int64
	own     certificate
}

// requests is how many files a run fetches: as many of each client, and one at least.
func (l load) requests() int {
	each := (l.bytes + int64(l.clients)*int64(l.kind.mb)*1e6 - 1) / (int64(l.clients) * int64(l.kind.mb) * 1e6)
	return int(each) * l.clients
}

// run lets the clients fetch, and checks each file's sum. The connections are made before.
func (l load) run(ctx context.Context, t target) (timing, error) {
	c := aptLike(l.own, l.clients)
	defer c.CloseIdleConnections()
	if err := l.fetch(ctx, c, t, l.clients); err != nil {
		return timing{}, err
	}
	n := l.requests()
	cpu, own, began := t.cpu(), usage.CPU(os.Getpid()), time.Now()
	err := l.fetch(ctx, c, t, n)
	gb := float64(n) * float64(l.kind.mb) / 1000
	took := time.Since(began).Seconds()
	return timing{GB: gb, Seconds: took, ServerCPU: t.cpu() - cpu, ClientCPU: usage.CPU(os.Getpid()) - own}, err
}

func (l load) fetch(ctx context.Context, c *http.Client, t target, n int) error {
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range l.clients {
		group.Go(func() error {
			buffer, sum := make([]byte, readAtOnce), crc32.New(sums)
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				f := l.kind.files[i%len(l.kind.files)]
				sum.Reset()
				if err := fetch(ctx, c, t.base+f.path, f.size, sum, buffer); err != nil {
					return err
				}
				if sum.Sum32() != f.sum {
					return fmt.Errorf("%s: other bytes came", t.base+f.path)
				}
			}
		})
	}
	return group.Wait()
}
