package courier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
)

// statusPath is where the courier itself answers.
const statusPath = "/courier/v1/status"

// Status is what a courier says of itself: words for people, and no proof of
// anything.
type Status struct {
	Server string `json:"server"`
	// Relay is the way by which it was last reached; empty: directly.
	Relay string    `json:"relay,omitempty"`
	Since time.Time `json:"since"` // of the process
	// Asked is when the hand last asked for something, Answered when the server last
	// answered; zero: not yet.
	Asked    time.Time `json:"asked,omitzero"`
	Answered time.Time `json:"answered,omitzero"`
	// Trouble is why the last request did not reach the server; empty: it did.
	Trouble string `json:"trouble,omitempty"`
}

// note remembers how a request went.
func (c *Courier) note(by int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.status.Trouble
	c.status.Asked, c.status.Trouble = time.Now(), ""
	switch {
	case errors.Is(err, context.Canceled): // who asked went away
		c.status.Trouble = before
	case err != nil:
		c.status.Trouble = err.Error()
	default:
		c.status.Answered, c.status.Relay = c.status.Asked, ""
		if by < len(c.opts.Relays) {
			c.status.Relay = c.opts.Relays[by]
		}
	}
	if (before == "") != (c.status.Trouble == "") {
		c.opts.Log.Info("line to the server", zap.String("server", c.opts.Server), zap.Bool("up", c.status.Trouble == ""), zap.String("trouble", c.status.Trouble))
	}
}

func (c *Courier) tell(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	s := c.status
	c.mu.Unlock()
	uplink.WriteJSON(w, r, s)
}

// watch says when nobody asks: a courier without a hand serves nobody.
func (c *Courier) watch(ctx context.Context) error {
	said := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(c.opts.Patience / 4):
		}
		c.mu.Lock()
		last := c.status.Asked
		if last.IsZero() {
			last = c.status.Since
		}
		c.mu.Unlock()
		quiet := time.Since(last) > c.opts.Patience
		if quiet && !said {
			c.opts.Log.Warn("nobody has asked for anything: the agent's other part does not run (systemctl status patchcycle-agent)", zap.Time("since", last))
		}
		said = quiet
	}
}

// Ask asks the courier at a socket for its status.
func Ask(ctx context.Context, socket string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://courier"+statusPath, http.NoBody)
	if err != nil {
		return Status{}, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return Status{}, silent(socket, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return Status{}, silent(socket, err)
	}
	var s Status
	if err := json.Unmarshal(text, &s); err != nil || resp.StatusCode != http.StatusOK {
		return Status{}, fmt.Errorf("what answers at %s is no courier", socket)
	}
	return s, nil
}

func silent(socket string, err error) error {
	return fmt.Errorf("this machine's courier does not answer at %s (systemctl status patchcycle-courier): %w", socket, err)
}
