package cli

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"syscall"
)

// output is stdout where it is no terminal. It remembers the first error in
// writing: what prints has nobody to tell, and a result that is lost on a full
// disk must not end with code 0.
type output struct {
	to  io.Writer
	mu  sync.Mutex
	err error
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.to.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	o.err = err
	return n, err
}

// failed is how a command ended that ended with err. What else went wrong goes
// first. A reader that went away (head) has what it wanted: that is not told.
func (o *output) failed(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		return err
	}
	var said *Failure
	if err != nil && !errors.Is(err, o.err) && (!errors.As(err, &said) || !said.Quiet) {
		return err
	}
	if errors.Is(o.err, syscall.EPIPE) {
		return &Failure{Code: ExitFailed, Words: o.err.Error(), Quiet: true}
	}
	return Fail(ExitFailed, "What was printed is not complete.", "write to stdout: %s", reason(o.err))
}

// reason is what the system said, without the path that is named beside it.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}
