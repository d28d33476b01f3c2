package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/lab/usage"
)

// target is a server that serves the files, and its process.
type target struct {
	base string
	pid  int
}

// cpu is what it and its workers have used, in seconds.
func (t target) cpu() float64 { return usage.Tree(t.pid) }

// process is a server that was started here, and is ended by its own id.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// startProcess returns when somebody listens where the program is to.
func startProcess(ctx context.Context, at, log, program string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	p := &process{cmd: exec.Command(program, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // how it ended stands in its log
	}()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if c, err := (&net.Dialer{}).DialContext(ctx, "tcp", at); err == nil {
			return p, c.Close()
		}
		select {
		case <-p.done:
		case <-ctx.Done():
		default:
			if time.Since(began) < 30*time.Second {
				continue
			}
		}
		p.stop()
		text, _ := os.ReadFile(log)
		return nil, fmt.Errorf("%s does not serve: %s", filepath.Base(program), text)
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}
