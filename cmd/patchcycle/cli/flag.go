package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// named is a text that is not empty where it is given: an empty variable of a
// shell must not mean the default.
type named struct{ to *string }

func (n named) String() string {
	if n.to == nil {
		return ""
	}
	return *n.to
}

func (n named) Set(text string) error {
	if text == "" {
		return errors.New("it is empty")
	}
	*n.to = text
	return nil
}

func (named) Type() string { return "string" }

// badFlag says what a flag takes, in place of what the parser of its kind said.
func badFlag(c *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return usage(c, "%s", err)
	}
	return usage(c, "--%s %q: %s", bad.GetFlag().Name, bad.GetValue(), takes(bad))
}

func takes(bad *pflag.InvalidValueError) string {
	kind, large := bad.GetFlag().Value.Type(), ""
	var number *strconv.NumError
	switch {
	case errors.Is(bad, strconv.ErrRange):
		large = "that is too large or too small: "
	case kind != "duration" && !errors.As(bad, &number): // a flag of ours says it itself
		return fmt.Sprint(bad.Unwrap())
	}
	switch kind {
	case "int", "int64":
		return large + "write a whole number"
	case "uint64":
		return large + "write a whole number from 0 on"
	case "duration":
		return "write hours, minutes or both: 24h, 90m, 1h30m"
	case "bool":
		return "write true or false, or the flag alone"
	default:
		return fmt.Sprint(bad.Unwrap())
	}
}
