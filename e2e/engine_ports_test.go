package e2e_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// provesInnerPortsAreClosed finds every port that this process listens on, and
// calls the others as a stranger: two calls that the server's own frontend for
// itself, and any gRPC server at all, would answer.
func provesInnerPortsAreClosed(t *testing.T, s *town) {
	_, own, err := net.SplitHostPort(s.Addr())
	require.NoError(t, err)
	var inner []string
	for _, port := range listening(t) {
		if port != own {
			inner = append(inner, port)
		}
	}
	require.GreaterOrEqual(t, len(inner), 4, "history, matching, worker and internal frontend should listen")
	for _, port := range inner {
		conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err = workflowservice.NewWorkflowServiceClient(conn).GetSystemInfo(ctx, &workflowservice.GetSystemInfoRequest{})
		require.Error(t, err, "port %s answered a stranger", port)
		_, err = healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{})
		require.Error(t, err, "port %s answered a stranger", port)
		cancel()
		require.NoError(t, conn.Close())
	}
}

// listening returns the TCP ports that this process listens on, as Linux tells.
func listening(t *testing.T) (ports []string) {
	t.Helper()
	sockets := map[string]bool{}
	fds, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	if len(fds) == 0 {
		require.NotEqual(t, "true", os.Getenv("CI"), "no /proc")
		t.Skip("needs Linux's /proc to find the ports of this process")
	}
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(link, "socket:["); ok {
				sockets[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue // a machine without IPv6
		}
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			field := strings.Fields(line)
			const listen = "0A"
			if len(field) < 10 || field[3] != listen || !sockets[field[9]] {
				continue
			}
			_, hex, _ := strings.Cut(field[1], ":")
			port, err := strconv.ParseUint(hex, 16, 16)
			require.NoError(t, err)
			ports = append(ports, strconv.FormatUint(port, 10))
		}
	}
	return ports
}
