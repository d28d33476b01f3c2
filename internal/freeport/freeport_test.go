package freeport_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/freeport"
)

const local = "127.0.0.1"

func TestPortsDifferFromEachOtherAndFromThosePromised(t *testing.T) {
	found, err := freeport.Quiet.Choose(local, 5)
	require.NoError(t, err)
	low := found[0]
	span := freeport.Range{Low: low, High: low}
	again, err := span.Choose(local, 1)
	require.NoError(t, err)
	require.Equal(t, []int{low}, again)
	_, err = span.Choose(local, 1, low)
	require.ErrorContains(t, err, "fewer than 1 ports of 127.0.0.1", "a port that was promised is not promised twice")
	_, err = span.Choose(local, 2)
	require.Error(t, err, "one port is not two")

	seen := map[int]bool{}
	for _, p := range found {
		require.False(t, seen[p])
		seen[p] = true
	}
}

func TestAPortThatSomebodyListensOnIsNotChosen(t *testing.T) {
	l, err := net.Listen("tcp", local+":0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	_, err = freeport.Range{Low: port, High: port}.Choose(local, 1)
	require.Error(t, err)
}
