// Package stall gives up a body of which nothing comes any more.
package stall

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Watch returns a body that ends with an error when nothing of it comes for that long.
// The request has to run under ctx, which cancel ends; who is named in the error. Close
// ends ctx too.
func Watch(ctx context.Context, cancel context.CancelCauseFunc, body io.ReadCloser, who string, after time.Duration) io.ReadCloser {
	w := &watched{body: body, ctx: ctx, cancel: cancel, after: after}
	w.timer = time.AfterFunc(after, func() { cancel(fmt.Errorf("%s sent nothing for %s", who, after)) })
	return w
}

type watched struct {
	body   io.ReadCloser
	ctx    context.Context //nolint:containedctx // the body's own: it says why it was given up
	cancel context.CancelCauseFunc
	timer  *time.Timer
	after  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	if n > 0 {
		w.timer.Reset(w.after)
	}
	if err != nil && w.ctx.Err() != nil {
		// The end too: a server that notices that it is given up ends what it sends as if
		// that were all.
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.body.Close()
}
