// Package edgecli is what the command lines of agent and relay have in common.
package edgecli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// UsageError is a command line that is wrong.
type UsageError struct{ error }

// Usage returns one, in words.
func Usage(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

// Misused returns one with that cause.
func Misused(cause error) error { return UsageError{cause} }

// IsUsage reports whether the error is one.
func IsUsage(err error) bool {
	var wrong UsageError
	return errors.As(err, &wrong)
}

// NoArgs refuses arguments, and says which was not understood.
func NoArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage("%q is not understood: see %s --help", args[0], c.CommandPath())
	}
	return nil
}

// Print writes a result: v as JSON, or else the words.
func Print(c *cobra.Command, asJSON bool, v any, words string) error {
	if !asJSON {
		_, err := fmt.Fprintln(c.OutOrStdout(), Clean(words))
		return err
	}
	enc := json.NewEncoder(c.OutOrStdout())
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Line makes one line of what a person or a machine said.
func Line(s string) string { return Clean(strings.Join(strings.Fields(s), " ")) }

// Clean takes out what could drive a terminal: some of the words come from the other
// end of a line.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, s)
}

// Local is an instant as people on this machine read it.
func Local(t time.Time) string { return t.Local().Format("2006-01-02 15:04 MST") }

// Log writes JSON, so that what a machine or a server says cannot break a line.
func Log(w io.Writer) *zap.Logger {
	words := zap.NewProductionEncoderConfig()
	words.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(words), zapcore.AddSync(w), zap.InfoLevel))
}
