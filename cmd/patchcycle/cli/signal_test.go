package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test's own program is run as a child: it hangs and hears of nothing.
func TestTheSecondSignalEndsTheProgramWhateverItHangsOn(t *testing.T) {
	if os.Getenv("PATCHCYCLE_TEST_HANGS") != "" {
		ctx, stop := UntilSignal(context.Background())
		defer stop()
		fmt.Println("ready")
		<-ctx.Done()
		fmt.Println("heard")
		select {}
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^"+t.Name()+"$")
	c.Env = append(os.Environ(), "PATCHCYCLE_TEST_HANGS=yes")
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	said := func(word string) {
		line := make([]byte, len(word)+1)
		_, err := io.ReadFull(out, line)
		require.NoError(t, err)
		require.Equal(t, word+"\n", string(line))
	}
	said("ready")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	said("heard")
	// The handler is given back a moment after the context has ended.
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	for {
		_ = c.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			status := c.ProcessState.Sys().(syscall.WaitStatus)
			assert.True(t, status.Signaled() && status.Signal() == syscall.SIGTERM, c.ProcessState)
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}
