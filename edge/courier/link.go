package courier

import (
	"context"
	"errors"
	"net"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Link is the hand's way to the server: over the courier's socket. Its errors tell a
// courier that is dead from a server that is out of reach.
type Link struct {
	*uplink.Client
	socket string
}

var _ uplink.Link = (*Link)(nil)

// NewLink returns the way through the courier at a socket.
func NewLink(socket string) (*Link, error) {
	c, err := uplink.NewClient(uplink.ClientOptions{URL: "unix:" + socket, Connections: 4})
	return &Link{c, socket}, err
}

// Send implements [uplink.Link].
func (l *Link) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	acks, err := l.Client.Send(ctx, b)
	return acks, l.worded(err)
}

// Poll implements [uplink.Link].
func (l *Link) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	resp, err := l.Client.Poll(ctx, r)
	return resp, l.worded(err)
}

// Content implements [uplink.Link].
func (l *Link) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	text, err := l.Client.Content(ctx, d)
	return text, l.worded(err)
}

func (l *Link) worded(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Net == "unix" {
		return silent(l.socket, err)
	}
	return err
}
