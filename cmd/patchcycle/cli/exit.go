package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// The exit codes.
const (
	ExitOK         = 0
	ExitFailed     = 1
	ExitUsage      = 2
	ExitNotFound   = 3
	ExitNotAllowed = 4
	ExitAway       = 5
)

// ExitCodes says what each exit code means, for the help and the reference.
func ExitCodes() []string {
	return []string{
		ExitOK:         "done",
		ExitFailed:     "refused or failed",
		ExitUsage:      "the command line is wrong",
		ExitNotFound:   "there is no such thing",
		ExitNotAllowed: "no token, or one that may not do it",
		ExitAway:       "the server, or its engine, does not answer",
	}
}

func exitWords() string {
	var b strings.Builder
	b.WriteString("Exit codes:")
	for code, words := range ExitCodes() {
		fmt.Fprintf(&b, "\n  %d  %s", code, words)
	}
	return b.String()
}

// Failure is an error with its exit code and what to do about it. Main's
// functions may return one.
type Failure struct {
	Code   int
	Words  string
	wayOut string
	// Quiet: all was said already.
	Quiet bool
}

// Fail returns an error that ends the program with a code.
func Fail(code int, wayOut, format string, args ...any) *Failure {
	return &Failure{Code: code, Words: fmt.Sprintf(format, flat(args)...), wayOut: wayOut}
}

func (f *Failure) Error() string { return f.Words }

// usage is an error of the command line.
func usage(c *cobra.Command, format string, args ...any) *Failure {
	return Fail(ExitUsage, fmt.Sprintf("See: %s --help", c.CommandPath()), format, args...)
}

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var failure *Failure
	var problem *wire.Problem
	switch {
	case errors.As(err, &failure):
		return failure.Code
	case errors.As(err, &problem):
		switch problem.Code {
		case wire.CodeNotFound:
			return ExitNotFound
		case wire.CodeNotAllowed, wire.CodeUnknown:
			return ExitNotAllowed
		case wire.CodeEngineAway:
			return ExitAway
		case wire.CodeInvalid, wire.CodeConflict, wire.CodeKeyReused, wire.CodeBadPolicy, wire.CodeServerFault:
		}
		return ExitFailed
	case errors.Is(err, client.ErrAway):
		return ExitAway
	default:
		return ExitFailed
	}
}

// complain tells a person what went wrong and what to do next.
func complain(w io.Writer, hint func(string) string, err error) {
	var failure *Failure
	var problem *wire.Problem
	sayWayOut := func(words string) {
		if words != "" {
			fmt.Fprintf(w, "  %s\n", clean(hint(words)))
		}
	}
	switch {
	case errors.As(err, &failure):
		if failure.Quiet {
			return
		}
		fmt.Fprintf(w, "patchcycle: %s\n", clean(hint(failure.Words)))
		sayWayOut(failure.wayOut)
	case errors.As(err, &problem):
		for _, p := range problem.Policy {
			fmt.Fprint(w, problemText(policy.Problem(p)))
		}
		fmt.Fprintf(w, "patchcycle: %s\n", clean(hint(problem.Detail)))
		for _, f := range problem.Errors {
			if f.Message != problem.Detail {
				fmt.Fprintf(w, "  %s: %s\n", clean(f.Location), clean(f.Message))
			}
		}
		sayWayOut(problem.WayOut)
		if problem.Key != "" {
			fmt.Fprintf(w, "  To repeat it so that it counts once, add: --once %s\n", clean(problem.Key))
		}
	case errors.Is(err, client.ErrAway):
		fmt.Fprintf(w, "patchcycle: %s\n", clean(err.Error()))
		sayWayOut(startIt)
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(w, "patchcycle: interrupted")
	default:
		fmt.Fprintf(w, "patchcycle: %s\n", clean(err.Error()))
	}
}

// startIt is the way out where no server answers.
const startIt = "Start it with \"patchcycle server\", or say where it is: --server, --data-dir."
