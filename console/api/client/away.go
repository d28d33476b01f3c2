package client

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"syscall"
)

// errNobody is in an error of a server that there was no connection to.
var errNobody = errors.New("nobody listens there")

// away says of a request that was not answered where it went and why, without
// the layers that it went through.
func (c *Client) away(err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "dial" {
		return fmt.Errorf("%w %s: %w", ErrAway, c.place, err)
	}
	if err = op.Err; errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w %s: %w", ErrAway, c.place, errNobody)
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return fmt.Errorf("%w %s: %w", ErrAway, c.place, unreached{err})
}

// unreached is another reason for which there was no connection.
type unreached struct{ error }

func (u unreached) Is(target error) bool { return target == errNobody }

func (u unreached) Unwrap() error { return u.error }
