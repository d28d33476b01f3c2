package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.temporal.io/sdk/temporal"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
)

var problemType = reflect.TypeFor[wire.Problem]()

// explain is the one place where errors become problems. What it does not know
// is our fault, and goes to the log with all that is known.
func (s *server) explain(ctx context.Context, operation string, err error) *wire.Problem {
	var problem *wire.Problem
	var notNow *starter.NotNow
	switch {
	case errors.As(err, &problem):
	case errors.As(err, &notNow):
		problem = conflict(notNow.Words, "")
	case errors.Is(err, starter.ErrExists):
		problem = conflict(err.Error()+".", "See it with: patchcycle cycle list.")
	case errors.Is(err, store.ErrNotFound):
		problem = notFound(err.Error() + ".")
	case errors.Is(err, store.ErrFinal):
		problem = conflict(err.Error()+".", "")
	case isFull(err):
		s.Logger.Error("a request failed, because a disk is full", zap.String("operation", operation), zap.Error(err))
		problem = diskFull(err)
	case errors.Is(err, errEngineAway):
		s.Logger.Warn("the engine did not answer", zap.String("operation", operation), zap.Error(err))
		problem = &wire.Problem{
			Status: http.StatusServiceUnavailable, Code: wire.CodeEngineAway, Detail: "The engine does not answer.",
			WayOut: "Try again in a moment; \"patchcycle engine status\" says more.",
		}
	case errors.Is(ctx.Err(), context.DeadlineExceeded), errors.Is(ctx.Err(), context.Canceled):
		s.Logger.Warn("a request took too long", zap.String("operation", operation), zap.Error(err))
		problem = &wire.Problem{
			Status: http.StatusServiceUnavailable, Code: wire.CodeServerFault, Detail: "The answer took too long.",
			WayOut: "Ask for less, or try again in a moment.",
		}
	default:
		s.Logger.Error("a request failed", zap.String("operation", operation), zap.Error(err))
		problem = &wire.Problem{
			Status: http.StatusInternalServerError, Code: wire.CodeServerFault, Detail: "The server could not do it.",
			WayOut: "Its log says why.",
		}
	}
	problem.Title = http.StatusText(problem.Status)
	return problem
}

func isFull(err error) bool {
	full, _ := disk.Full(err)
	return full
}

func diskFull(err error) *wire.Problem {
	p := &wire.Problem{
		Status: http.StatusInsufficientStorage, Code: wire.CodeServerFault,
		Detail: "The disk that holds the server's state is full: it takes nothing more, and what it has taken is not lost.",
		WayOut: "Free space there and do it again; \"patchcycle doctor\" says which disk it is.",
	}
	if _, remote := disk.Full(err); remote {
		p.Detail = "The disk of the database's server is full: nothing more is taken, and what was taken is not lost."
		p.WayOut = "Free space there and do it again."
	}
	return p
}

// errEngineAway says that there is no engine to ask.
var errEngineAway = errors.New("the engine does not answer")

// engine sorts what a [Starter] returned: what it says in words stays; what a
// cycle's own code failed with is our fault; all else is an engine that is down,
// starting or overloaded.
func engine(err error) error {
	var notNow *starter.NotNow
	var failed *temporal.ApplicationError
	switch {
	case err == nil, errors.As(err, &notNow), errors.Is(err, starter.ErrExists), errors.As(err, &failed):
		return err
	default:
		return fmt.Errorf("%w: %w", errEngineAway, err)
	}
}

func invalid(where, format string, args ...any) *wire.Problem {
	words := fmt.Sprintf(format, args...)
	return &wire.Problem{
		Status: http.StatusUnprocessableEntity, Code: wire.CodeInvalid, Detail: words,
		Errors: []wire.Fault{{Message: words, Location: where}},
	}
}

func notAllowed(words string) *wire.Problem {
	return &wire.Problem{
		Status: http.StatusForbidden, Code: wire.CodeNotAllowed, Detail: words,
		WayOut: "Your token decides who you are (PATCHCYCLE_TOKEN): set that of your own account, ask somebody who may, or an administrator for the role.",
	}
}

func notFound(words string) *wire.Problem {
	return &wire.Problem{Status: http.StatusNotFound, Code: wire.CodeNotFound, Detail: words}
}

func conflict(words, wayOut string) *wire.Problem {
	return &wire.Problem{Status: http.StatusConflict, Code: wire.CodeConflict, Detail: words, WayOut: wayOut}
}

// asProblem makes the framework's own errors (a body that is no JSON, a
// parameter out of range) ours.
func asProblem(_ huma.Context, _ string, v any) (any, error) {
	theirs, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	ours := &wire.Problem{Title: theirs.Title, Status: theirs.Status, Code: wire.CodeInvalid, Detail: "The request is not valid."}
	switch {
	case theirs.Status == http.StatusRequestEntityTooLarge:
		ours.Detail = "The request is too large."
	case theirs.Status >= http.StatusInternalServerError:
		ours.Code, ours.Detail = wire.CodeServerFault, "The server could not do it."
	case len(theirs.Errors) == 0:
		ours.Detail = "The request is not valid: " + theirs.Detail + "."
	}
	for _, e := range theirs.Errors {
		ours.Errors = append(ours.Errors, wire.Fault{Message: e.Message, Location: e.Location})
	}
	ours.WayOut = "See /openapi.json for what it takes."
	return ours, nil
}

// write answers with a problem where the framework is not at work yet.
func write(w http.ResponseWriter, p *wire.Problem) {
	p.Title = http.StatusText(p.Status)
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client went away: nobody to tell
}

func unwrap(c huma.Context) (*http.Request, http.ResponseWriter) { return humago.Unwrap(c) }
