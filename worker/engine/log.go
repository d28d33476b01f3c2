package engine

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
	"go.temporal.io/server/service/history/shard"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// serverLog is the embedded server's logger. It differs from Temporal's own in
// what a program that embeds the server cannot have: a fatal line ends the
// goroutine instead of the process, refused callers leave no line and nothing
// leaves a stack trace, and the server is quiet while it stops.
type serverLog struct {
	zap *zap.Logger
	*serverState
}

// serverState is shared by a logger and those derived from it.
type serverState struct {
	all     bool // also what the server has to say below warnings
	quiet   atomic.Bool
	started atomic.Bool
	fatal   atomic.Pointer[fatalError]
	failed  chan<- error
}

// A fatalError is what the server would have ended the process with.
type fatalError struct {
	text  string
	cause error
}

func (e *fatalError) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}

func (e *fatalError) Unwrap() error { return e.cause }

func newServerLog(base *zap.Logger, failed chan<- error) *serverLog {
	never := zap.LevelEnablerFunc(func(zapcore.Level) bool { return false })
	return &serverLog{
		zap:         base.Named("temporal").WithOptions(zap.AddStacktrace(never), zap.WithCaller(false)),
		serverState: &serverState{all: base.Core().Enabled(zap.DebugLevel), failed: failed},
	}
}

// hush sends everything to the debug level from now on.
func (s *serverState) hush() { s.quiet.Store(true) }

// serving has fatal lines reported on the channel from now on.
func (s *serverState) serving() { s.started.Store(true) }

// survive runs f, in which the server may log a fatal line or panic, and
// returns that as an error.
func (s *serverState) survive(f func() error) error {
	done := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			switch r := recover(); {
			case r != nil:
				done <- fmt.Errorf("it panicked: %v", r)
			case !returned:
				done <- errors.New("it gave up") // replaced below: a fatal line was logged
			}
		}()
		err := f()
		returned = true
		done <- err
	}()
	err := <-done
	if fatal := s.fatal.Load(); err != nil && fatal != nil {
		return fatal
	}
	return err
}

func (l *serverLog) Debug(msg string, tags ...tag.Tag) {
	if l.all {
		l.zap.Debug(msg, fields(tags)...)
	}
}

func (l *serverLog) Info(msg string, tags ...tag.Tag) {
	if l.all {
		l.zap.Debug(msg, fields(tags)...) // its information is our detail
	}
}

func (l *serverLog) Warn(msg string, tags ...tag.Tag) {
	if l.quiet.Load() || harmless(msg, tags) {
		l.Debug(msg, tags...)
		return
	}
	l.zap.Warn(msg, fields(tags)...)
}

func (l *serverLog) Error(msg string, tags ...tag.Tag) {
	if l.quiet.Load() || harmless(msg, tags) || refusal(tags) {
		l.Debug(msg, tags...)
		return
	}
	l.zap.Error(msg, fields(tags)...)
}

// DPanic is for mistakes of the server's programmers.
func (l *serverLog) DPanic(msg string, tags ...tag.Tag) { l.Error(msg, tags...) }

// Panic does not return, as its callers expect.
func (l *serverLog) Panic(msg string, tags ...tag.Tag) {
	l.Error(msg, tags...)
	panic(msg)
}

// Fatal does not return either: it ends the goroutine, not the process.
func (l *serverLog) Fatal(msg string, tags ...tag.Tag) {
	l.Error(msg, tags...)
	fatal := &fatalError{text: msg}
	for _, t := range tags {
		if err := errorOf(t); err != nil {
			fatal.cause = err
		}
	}
	l.fatal.CompareAndSwap(nil, fatal)
	if l.started.Load() && !l.quiet.Load() {
		select {
		case l.failed <- fmt.Errorf("the embedded Temporal server failed: %w", fatal):
		default: // one is enough
		}
	}
	runtime.Goexit()
}

// With implements log.WithLogger.
func (l *serverLog) With(tags ...tag.Tag) log.Logger {
	return &serverLog{zap: l.zap.With(fields(tags)...), serverState: l.serverState}
}

// harmless is what an embedded server says again and again: it has no HTTP
// port, its queues begin to read a moment before all shards are theirs, and its
// own UI asks for larger pages than it likes.
func harmless(msg string, tags []tag.Tag) bool {
	switch {
	case slices.ContainsFunc(tags, func(t tag.Tag) bool {
		err := errorOf(t)
		return err != nil && strings.Contains(err.Error(), "context canceled") // who asked has hung up
	}),
		strings.HasPrefix(msg, "HTTP API port has not been set"),
		strings.HasPrefix(msg, "GetHistory page size is larger than threshold"):
		return true
	}
	return msg == "Queue reader unable to retrieve tasks" && slices.ContainsFunc(tags, func(t tag.Tag) bool {
		return errors.Is(errorOf(t), shard.ErrShardStatusUnknown)
	})
}

// refusal tells an error that the caller was told: anybody could fill the log
// with those.
func refusal(tags []tag.Tag) bool {
	for _, t := range tags {
		var denied *serviceerror.PermissionDenied
		if errors.As(errorOf(t), &denied) {
			return true
		}
	}
	return false
}

func errorOf(t tag.Tag) error {
	if zt, ok := t.(tag.ZapTag); ok {
		err, _ := zt.Field().Interface.(error) // nil if the field is something else
		return err
	}
	return nil
}

func fields(tags []tag.Tag) []zap.Field {
	out := make([]zap.Field, len(tags))
	for i, t := range tags {
		if zt, ok := t.(tag.ZapTag); ok {
			out[i] = zt.Field()
		} else {
			out[i] = zap.Any(t.Key(), t.Value())
		}
	}
	return out
}
