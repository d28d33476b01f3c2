// Package command runs the machine's own programs: by their arguments, never
// through a shell, with a limit on how long they may take and on how much they
// may say.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// MaxOutput bounds what a program may write to either of its outputs, in
// bytes: apt says about a kilobyte of each package, and few machines have
// more than five thousand.
const MaxOutput = 16 << 20

// ErrNotHere is returned for a program that the machine does not have.
var ErrNotHere = errors.New("the machine has no such program")

// Error is a program that did not do what it was asked.
type Error struct {
	Program string
	// Code is its exit code, -1 if it was ended from outside. What apt's means
	// is nearly always 100: go by the text.
	Code   int
	Stderr []byte
	cause  error
}

// Error gives the last line that the program wrote to its standard error.
func (e *Error) Error() string {
	lines := strings.Split(strings.TrimSpace(string(e.Stderr)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return fmt.Sprintf("%s: %v: %.500s", e.Program, e.cause, last)
	}
	return fmt.Sprintf("%s: %v", e.Program, e.cause)
}

// Failed returns the error of a program that others ran for us. Code is its exit
// code, -1 if it was ended from outside.
func Failed(program string, code int, cause error) *Error {
	return &Error{Program: program, Code: code, cause: cause}
}

// Unwrap returns what ended the program; for one that took too long that is
// [context.DeadlineExceeded].
func (e *Error) Unwrap() error { return e.cause }

// folders are where programs are looked for, whatever PATH somebody started
// us with: root takes none from elsewhere.
var folders = []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// Find returns the program's path, or [ErrNotHere].
func Find(program string) (string, error) {
	for _, folder := range folders {
		path := filepath.Join(folder, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s: %w", program, ErrNotHere)
}

// Run starts a program and returns what it wrote to its standard output, also
// beside an [*Error]. It speaks English in UTF-8, asks nothing, and sees none
// of our environment. Limit bounds how long it may take.
func Run(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	return RunWith(ctx, Options{Limit: limit}, program, args...)
}

// Options are how a program is run.
type Options struct {
	Limit time.Duration
	// Environment is "NAME=value" besides [Environment]. Errors do not repeat it.
	Environment []string
	// Interrupt asks the program to end, and kills it ten seconds later: for one that
	// would leave a lock behind.
	Interrupt bool
}

// RunWith is [Run] with options.
func RunWith(ctx context.Context, o Options, program string, args ...string) ([]byte, error) {
	path, err := Find(program)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	var stdout, stderr capped
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Dir = "/"
	cmd.Env = append(Environment(), o.Environment...)
	// A grandchild that keeps an output open must not keep us.
	cmd.WaitDelay = 5 * time.Second
	if o.Interrupt {
		cmd.WaitDelay = 10 * time.Second
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("ended after %s: %w", o.Limit, ctx.Err())
	case stdout.over || stderr.over:
		err = fmt.Errorf("wrote more than %d bytes", MaxOutput)
	case err == nil:
		return stdout.kept.Bytes(), nil
	}
	code := -1
	if cmd.ProcessState != nil {
		code = cmd.ProcessState.ExitCode()
	}
	return stdout.kept.Bytes(), &Error{Program: program, Code: code, Stderr: stderr.kept.Bytes(), cause: err}
}

// Environment is what a program sees: it speaks English in UTF-8 and asks
// nothing.
func Environment() []string {
	return []string{
		"PATH=" + strings.Join(folders, ":"), "HOME=/", "TERM=dumb",
		"LC_ALL=C.UTF-8", "LANGUAGE=C", "DEBIAN_FRONTEND=noninteractive",
	}
}

// capped keeps the first [MaxOutput] bytes. The buffer is not embedded: its
// ReadFrom would go round the limit.
type capped struct {
	kept bytes.Buffer
	over bool
}

// Write fails when there is too much, which ends the program by a broken pipe.
func (c *capped) Write(p []byte) (int, error) {
	if c.kept.Len()+len(p) > MaxOutput {
		c.over = true
		return 0, errors.New("too much output")
	}
	return c.kept.Write(p)
}
