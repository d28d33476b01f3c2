package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxRead bounds what is read of one file, in MiB: a policy has 1 at most, and
// other things that are named by mistake (a device, an image) have no end.
const maxRead = 16

// read reads a file, or standard input for "-".
func (s *session) read(file string) ([]byte, error) {
	switch file {
	case "":
		return nil, usage(s.cmd, "a file's name is empty")
	case "-":
		return within(s.cmd.Context(), "standard input", func() ([]byte, error) { return all("standard input", s.cmd.InOrStdin()) })
	}
	text, err := s.readFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Fail(ExitNotFound, "", "there is no file %s", file)
	}
	return text, err
}

// readFile is os.ReadFile with a limit and an end: a pipe may wait for its
// writer for ever.
func (s *session) readFile(file string) ([]byte, error) {
	return within(s.cmd.Context(), file, func() ([]byte, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, Fail(ExitFailed, "", "%s is a folder: name a file", file)
		}
		return all(file, f)
	})
}

// within lets an interruption end what the system does not let go of. It goes on
// behind our back then, for the moment that the program has left.
func within(ctx context.Context, name string, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-done:
		var said *Failure
		if r.err != nil && !errors.As(r.err, &said) {
			r.err = fmt.Errorf("read %s: %w", name, reason(r.err))
		}
		return r.text, r.err
	}
}

func all(name string, from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxRead<<20+1))
	if err == nil && len(text) > maxRead<<20 {
		return nil, Fail(ExitFailed, "", "%s is larger than %d MiB: no more is read of a file", name, maxRead)
	}
	return text, err
}
