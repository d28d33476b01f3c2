// Package stream carries several connections over one stream of bytes: the agent of a
// machine that is visited over SSH has its input and its output, and no other line.
//
// The machine's end opens connections, the relay's end serves them, never the other way
// round: a relay cannot ask a machine for anything.
package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// most bounds the connections at a time: the agent's letters take 4, its package
// manager 16.
const most = 32

// bounds are the same at both ends. What was promised of packages may stand before a
// sign of life on the line: SSH lets 2 MiB be under way, a connection a quarter of one.
// At 32 kB a second that takes a minute; a line that is silent for longer than patience
// is taken for dead.
func bounds() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog = most
	c.KeepAliveInterval, c.ConnectionWriteTimeout = 30*time.Second, 2*time.Minute
	c.StreamOpenTimeout, c.StreamCloseTimeout = 2*time.Minute, time.Minute
	c.LogOutput = io.Discard // who uses a connection is told
	return c
}

// Serve answers the connections that come over the line with h until the line ends,
// which is no error, or ctx does. It closes the line.
func Serve(ctx context.Context, line io.ReadWriteCloser, h http.Handler, log *zap.Logger) error {
	session, err := yamux.Server(line, bounds())
	if err != nil {
		return errors.Join(fmt.Errorf("serve a stream: %w", err), line.Close())
	}
	web := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: zap.NewStdLog(log),
	}
	stop := context.AfterFunc(ctx, func() { _ = session.Close() })
	defer stop()
	err = web.Serve(netutil.LimitListener(session, most))
	_ = errors.Join(web.Close(), session.Close())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, yamux.ErrSessionShutdown) {
		return nil
	}
	return fmt.Errorf("serve a stream: %w", err)
}

// Opener is the machine's end.
type Opener struct{ session *yamux.Session }

// Open returns the end that speaks over in and out, which are its own from then on.
func Open(in io.Reader, out io.Writer) (*Opener, error) {
	session, err := yamux.Client(newEnds(in, out), bounds())
	if err != nil {
		return nil, fmt.Errorf("open a stream: %w", err)
	}
	return &Opener{session}, nil
}

// Dial opens a connection. It fails at once when the line has ended.
func (o *Opener) Dial(context.Context) (net.Conn, error) {
	c, err := o.session.Open()
	if err != nil {
		return nil, fmt.Errorf("the line over which this agent was started: %w", err)
	}
	return c, nil
}

// Close ends the line.
func (o *Opener) Close() { _ = o.session.Close() }

// ends is a process's input and output as one line. To close them would not wake who
// reads or writes there, so two goroutines do that, and end with the process.
type ends struct {
	*io.PipeReader
	*io.PipeWriter
}

func newEnds(in io.Reader, out io.Writer) ends {
	fromIn, toUs := io.Pipe()
	fromUs, toOut := io.Pipe()
	go func() {
		_, err := io.Copy(toUs, in)
		_ = toUs.CloseWithError(err)
	}()
	go func() {
		_, err := io.Copy(out, fromUs)
		_ = fromUs.CloseWithError(err)
	}()
	return ends{fromIn, toOut}
}

func (e ends) Close() error { return errors.Join(e.PipeReader.Close(), e.PipeWriter.Close()) }
