package relay

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// silent is a server that has no news.
type silent struct{ uplink.Link }

func (silent) Poll(ctx context.Context, _ uplink.PollRequest) (uplink.PollResponse, error) {
	<-ctx.Done()
	return uplink.PollResponse{}, ctx.Err()
}

// Of 500 relays one stood still for good after 14 minutes: the status asked for a lane
// while the lane asked what is held.
func TestTheStatusAndNewsThatAreHandedOutDoNotWaitForEachOther(t *testing.T) {
	r, err := New(Options{Name: "berlin", Up: silent{}, Dir: t.TempDir()})
	require.NoError(t, err)
	l, err := r.lane("", 0)
	require.NoError(t, err)
	var resp uplink.PollResponse
	asked := &round{}
	for n := range 200 {
		id := patching.DeviceID(fmt.Sprint("d-", n))
		resp.Orders = append(resp.Orders, uplink.SignedOrder{Device: id})
		asked.devices = append(asked.devices, uplink.PollDevice{Hello: uplink.Message{Device: id}})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1000 {
			l.mu.Lock()
			for _, d := range asked.devices {
				l.seats[d.Hello.Device] = &seat{round: asked, waiter: &waiter{news: make(chan uplink.PollResponse, 1)}}
			}
			l.hand(resp, asked)
			l.mu.Unlock()
		}
	}()
	var saying sync.WaitGroup
	saying.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				r.Status()
			}
		}
	})
	select {
	case <-done:
		saying.Wait()
		require.NoError(t, r.close())
	case <-time.After(30 * time.Second):
		t.Fatal("they wait for each other")
	}
}
