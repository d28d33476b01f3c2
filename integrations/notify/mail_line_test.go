package notify

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The context of a mail may end while its connection is being made: whichever comes first,
// nobody keeps the connection, and the server sees its end.
func TestAConnectionThatEndsWhileItIsBeingMadeIsClosed(t *testing.T) {
	server, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	const tries = 50
	ended := make(chan error, tries+1)
	go func() {
		for {
			conn, err := server.Accept()
			if err != nil {
				return
			}
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			_, err = io.Copy(io.Discard, conn)
			_ = conn.Close()
			ended <- err
		}
	}()

	line := &mailLine{}
	line.close()
	conn, err := line.dial(t.Context(), "tcp", server.Addr().String())
	require.NoError(t, err)
	_, err = conn.Write([]byte("EHLO\r\n"))
	require.ErrorIs(t, err, net.ErrClosed, "it was over before it was made")

	for range tries {
		line := &mailLine{}
		var both sync.WaitGroup
		both.Go(func() { _, _ = line.dial(t.Context(), "tcp", server.Addr().String()) })
		both.Go(line.close)
		both.Wait()
	}
	for range tries + 1 {
		require.NoError(t, <-ended, "the server waited for one that nobody closed")
	}
}
