package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is a patchcycle that we started, with all that it starts: a group of
// its own.
type process struct {
	cmd  *exec.Cmd
	out  string // file of its standard output
	done chan struct{}
	err  error // set before done is closed
}

// spawn starts patchcycle. What it says is appended to <name>.log in the
// folder, its answer is in <name>.out.
func (o Options) spawn(dir, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(o.Program, args...), out: filepath.Join(dir, name+".out"), done: make(chan struct{})}
	p.cmd.Env = o.environment()
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(p.out)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout, p.cmd.Stderr = out, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start patchcycle %s: %w", args[0], err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// environment is ours without what would make it another patchcycle.
func (o Options) environment() []string {
	env := append(os.Environ(), o.Env...)
	return append(env, "PATCHCYCLE_DATABASE_URL="+o.DatabaseURL)
}

// kill ends the whole group as a power cut does. It may have ended already.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// stop asks it to end, and kills it if it takes more than a while.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return p.err
	case <-time.After(30 * time.Second):
		p.kill()
		return errors.New("it did not stop within 30 s of SIGTERM")
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// killed reports whether it ended by SIGKILL.
func (p *process) killed() bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// ends waits for its end.
func (p *process) ends(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tail returns the last part of a log, to say why something failed.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	const most = 2000
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
