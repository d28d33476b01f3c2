package cli

import (
	"reflect"

	"github.com/patchcycle/patchcycle/patching/policy"
)

// OneLine takes out what a terminal would act upon, and what would make two lines
// of one: a name or a reason must not read as a line of ours.
func OneLine(s string) string { return oneLine(s) }

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
