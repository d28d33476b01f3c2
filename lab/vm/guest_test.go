//go:build linux

package vm

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guest plays qemu's guest agent at the machine's socket: a program has ended when it
// was asked about twice.
func guest(t *testing.T, m *Machine) {
	t.Helper()
	l, err := net.Listen("unix", m.socket())
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		asked := 0
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			lines := bufio.NewScanner(c)
			for lines.Scan() {
				var call struct {
					Execute   string         `json:"execute"`
					Arguments map[string]any `json:"arguments"`
				}
				_ = json.Unmarshal(lines.Bytes(), &call)
				switch call.Execute {
				case "guest-sync":
					// First what somebody else asked for before he gave up.
					fmt.Fprintf(c, "{\"return\": {\"pid\": 9}}\n{\"error\": {\"desc\": \"old\"}}\n{\"return\": %d}\n", int64(call.Arguments["id"].(float64)))
				case "guest-exec":
					fmt.Fprintln(c, `{"return": {"pid": 7}}`)
				case "guest-exec-status":
					if asked++; asked%2 == 1 {
						fmt.Fprintln(c, `{"return": {"exited": false}}`)
						continue
					}
					fmt.Fprintf(c, `{"return": {"exited": true, "exitcode": 3, "out-data": %q}}`+"\n", base64.StdEncoding.EncodeToString([]byte("out\n")))
				}
			}
			c.Close()
		}
	}()
}

func TestAProgramIsAskedAboutUntilItHasEnded(t *testing.T) {
	m := &Machine{Name: "m", dir: t.TempDir()}
	guest(t, m)
	o, err := m.Exec(t.Context(), "uname", "-r")
	require.NoError(t, err)
	require.Equal(t, Outcome{Code: 3, Stdout: "out\n"}, o)
	_, err = m.Output(t.Context(), "uname", "-r")
	require.EqualError(t, err, "uname -r on m: exit 3: out")
}

func TestAMachineThatIsOffIsSaidToBe(t *testing.T) {
	m := &Machine{Name: "m", dir: t.TempDir()}
	require.False(t, m.On())
	_, err := m.Exec(t.Context(), "true")
	require.ErrorContains(t, err, "machine m")
}

func TestAMachineStartsWithTheClockItIsGiven(t *testing.T) {
	m := &Machine{dir: filepath.Join("lab", "m"), options: Options{Tap: "t258"}}
	line := strings.Join(m.arguments(time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC)), " ")
	require.Contains(t, line, "-rtc base=2099-01-01T00:00:00,clock=vm")
	require.Contains(t, line, "ifname=t258")
	require.Contains(t, line, "mac=52:54:00:77:01:02")
}
