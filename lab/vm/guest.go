//go:build linux

package vm

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
)

// The guest agent answers in a second, on busy cores in some, and not at all while the
// machine boots: who asks then is let go soon.
const (
	helloLimit  = 15 * time.Second
	answerLimit = time.Minute
)

// Outcome is how a program on a machine ended.
type Outcome struct {
	Code           int // -1 if a signal ended it
	Stdout, Stderr string
}

// Exec runs a program on the machine, as its root and without a shell. An exit code
// is no error; that the machine does not answer is one.
func (m *Machine) Exec(ctx context.Context, args ...string) (Outcome, error) {
	return m.run(ctx, nil, args)
}

// Output is [Machine.Exec] for a program that must succeed; it returns what that
// wrote to its standard output.
func (m *Machine) Output(ctx context.Context, args ...string) (string, error) {
	o, err := m.Exec(ctx, args...)
	return o.Stdout, m.wentWell(o, err, args)
}

// WriteFile puts a file on a machine that runs.
func (m *Machine) WriteFile(ctx context.Context, name string, data []byte, mode uint32) error {
	args := []string{"install", "-D", fmt.Sprintf("--mode=%o", mode), "/dev/stdin", name}
	o, err := m.run(ctx, data, args)
	return m.wentWell(o, err, args)
}

func (m *Machine) wentWell(o Outcome, err error, args []string) error {
	if err == nil && o.Code != 0 {
		said := strings.TrimSpace(o.Stdout + o.Stderr)
		err = fmt.Errorf("%s on %s: exit %d: %s", strings.Join(args, " "), m.Name, o.Code, said[max(0, len(said)-500):])
	}
	return err
}

// run starts a program and asks until it has ended.
func (m *Machine) run(ctx context.Context, input []byte, args []string) (Outcome, error) {
	var started struct {
		PID int64 `json:"pid"`
	}
	how := map[string]any{
		"path": "/usr/bin/env", "arg": append([]string{"--chdir=/", "--"}, args...), "capture-output": true,
		"env": []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "TERM=dumb"},
	}
	if input != nil {
		how["input-data"] = input
	}
	if err := m.call(ctx, "guest-exec", how, &started); err != nil {
		return Outcome{}, err
	}
	for {
		var status struct {
			Exited bool   `json:"exited"`
			Code   *int   `json:"exitcode"`
			Out    []byte `json:"out-data"`
			Err    []byte `json:"err-data"`
		}
		if err := m.call(ctx, "guest-exec-status", map[string]any{"pid": started.PID}, &status); err != nil {
			return Outcome{}, err
		}
		if status.Exited {
			o := Outcome{Code: -1, Stdout: string(status.Out), Stderr: string(status.Err)}
			if status.Code != nil {
				o.Code = *status.Code
			}
			return o, nil
		}
		if err := pause.For(ctx, 300*time.Millisecond); err != nil {
			return Outcome{}, err
		}
	}
}

// call asks the guest agent. Its first words are a number that comes back: what is
// before that in the channel are answers that nobody waited for.
func (m *Machine) call(ctx context.Context, name string, arguments, into any) error {
	m.talk.Lock()
	defer m.talk.Unlock()
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "unix", m.socket())
	if err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if err := c.SetDeadline(time.Now().Add(helloLimit)); err != nil {
		return err
	}
	answers := bufio.NewReader(c)
	mark := rand.Int64N(1 << 40)
	if err := send(c, "guest-sync", map[string]any{"id": mark}); err != nil {
		return fmt.Errorf("machine %s: %w", m.Name, err)
	}
	for {
		var back json.RawMessage
		if err := receive(answers, &back); errors.Is(err, errGuest) {
			continue
		} else if err != nil {
			return fmt.Errorf("machine %s: %w", m.Name, err)
		}
		if string(back) == fmt.Sprint(mark) {
			break
		}
	}
	err = errors.Join(c.SetDeadline(time.Now().Add(answerLimit)), send(c, name, arguments))
	if err == nil {
		err = receive(answers, into)
	}
	if err != nil {
		return fmt.Errorf("machine %s: %s: %w", m.Name, name, err)
	}
	return nil
}

func send(c net.Conn, name string, arguments any) error {
	return json.NewEncoder(c).Encode(map[string]any{"execute": name, "arguments": arguments})
}

// errGuest says that the guest agent refused.
var errGuest = errors.New("the guest agent")

func receive(r *bufio.Reader, into any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	var answer struct {
		Return json.RawMessage `json:"return"`
		Error  *struct {
			Desc string `json:"desc"`
		} `json:"error"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return fmt.Errorf("%w says %.200q: %w", errGuest, line, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%w: %s", errGuest, answer.Error.Desc)
	}
	return json.Unmarshal(answer.Return, into)
}
