package cli

import (
	"io"
	"reflect"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// OneLine takes out what a terminal would act upon, and what would make two lines
// of one: a name or a reason must not read as a line of ours.
func OneLine(s string) string { return oneLine(s) }

// document prints a text that somebody sent as it is, but for what a terminal would act
// upon or not show; programs get that with --json.
func (p printer) document(text string) error {
	var out strings.Builder
	for line := range strings.Lines(text) {
		body := strings.TrimSuffix(line, "\n")
		if len(body) < len(line) {
			body = strings.TrimSuffix(body, "\r") // as Windows ends its lines
		}
		out.WriteString(strings.Map(func(r rune) rune {
			if r != '\t' && patching.Unseen(r) {
				return '\uFFFD'
			}
			return r
		}, body))
		out.WriteString(line[len(body):])
	}
	_, err := io.WriteString(p.out, out.String())
	return err
}

// lines is a text whose lines are meant, such as a procedure.
type lines string

// flat makes one line of each text among the arguments of a format.
func flat(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
		if _, meant := a.(lines); !meant && reflect.ValueOf(a).Kind() == reflect.String {
			out[i] = OneLine(reflect.ValueOf(a).String())
		}
	}
	return out
}

// problemText is how a problem of a policy is shown. The file is named as
// somebody called it.
func problemText(p policy.Problem) string {
	p.File = OneLine(p.File)
	return clean(p.String())
}
