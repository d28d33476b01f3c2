package courier

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"go.uber.org/zap"
)

// ParcelAddress is where the hand's package manager finds the server's snapshots: on
// the loopback of a network in which there is nothing else. It never changes, for
// apt names its lists by it.
const ParcelAddress = "127.0.0.1:7440"

// Alone refuses to go on where this process has a network: then it is no hand.
func Alone() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("look for networks: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			return fmt.Errorf("this process can use the network interface %s, and with a courier it must have none: start it as its unit does (PrivateNetwork=yes in patchcycle-agent.service), or run the agent in one part, without --courier", i.Name)
		}
	}
	return nil
}

// Bounds of a pipe. One over which nothing comes is cut.
const (
	pipes    = 16
	pipeIdle = 5 * time.Minute
)

// ToSocket opens connections to the courier's socket for packages.
func ToSocket(socket string) func(context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second}
	return func(ctx context.Context) (net.Conn, error) {
		c, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, silent(socket, err)
		}
		return c, nil
	}
}

// Pipe hands what comes in at the loopback over to what dial opens
// and back, until the context ends. It looks at none of it: the package manager
// checks signatures and hashes, and the agent the bundle's hashes after it.
func Pipe(ctx context.Context, in net.Listener, dial func(context.Context) (net.Conn, error), log *zap.Logger) error {
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	slots := make(chan struct{}, pipes)
	for {
		slots <- struct{}{}
		near, err := in.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("hand packages over: %w", err)
		}
		all.Go(func() {
			defer func() { <-slots }()
			if err := pipe(ctx, near, dial); err != nil && ctx.Err() == nil {
				log.Warn("could not hand a package over", zap.Error(err))
			}
		})
	}
}

func pipe(ctx context.Context, near net.Conn, dial func(context.Context) (net.Conn, error)) error {
	defer near.Close()
	far, err := dial(ctx)
	if err != nil {
		return err
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { _ = errors.Join(near.Close(), far.Close()) })
	defer stop()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			pour(way[1], way[0])
			ended <- struct{}{}
		}()
	}
	<-ended // either end: the other has nobody to speak to
	_ = errors.Join(near.Close(), far.Close())
	<-ended
	return nil
}

// pour copies until either end is closed, or nothing comes by either way: who waits for
// a package says nothing meanwhile, however long that takes on a slow line.
func pour(to, from net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		until := time.Now().Add(pipeIdle)
		_ = errors.Join(from.SetReadDeadline(until), to.SetReadDeadline(until))
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
