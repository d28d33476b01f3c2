package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// count is a flag that counts something: from 1, and not more than most (0: any).
type count struct {
	to   *int
	most int
}

// countFlag declares one. What it is not given as stands in *to.
func countFlag(c *cobra.Command, to *int, name string, most int, usage string) {
	c.Flags().Var(count{to, most}, name, usage)
}

func (c count) String() string {
	if c.to == nil { // the zero value, which pflag asks for
		return "0"
	}
	return strconv.Itoa(*c.to)
}

func (c count) Type() string { return "int" }

func (c count) Set(text string) error {
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return errors.New("it is a number")
	case n < 1:
		return errors.New("1 is the least")
	case c.most > 0 && n > c.most:
		return fmt.Errorf("%d is the most", c.most)
	}
	*c.to = n
	return nil
}

// choice is a flag that takes one of some words.
type choice struct {
	to  *string
	all []string
}

// choiceFlag declares one, whose usage ends in what may be chosen.
func choiceFlag[S ~string](c *cobra.Command, to *string, name, usage string, all ...S) {
	one := choice{to: to}
	for _, s := range all {
		one.all = append(one.all, string(s))
	}
	c.Flags().Var(one, name, usage+": "+words(all))
}

func (c choice) String() string {
	if c.to == nil {
		return ""
	}
	return *c.to
}

func (c choice) Type() string { return "string" }

func (c choice) Set(text string) error {
	if !slices.Contains(c.all, text) {
		return fmt.Errorf("there are %s", words(c.all))
	}
	*c.to = text
	return nil
}

// required marks flags without which the command does nothing, in help and
// reference. The command itself asks for them, in words that fit.
func required(c *cobra.Command, names ...string) {
	for _, name := range names {
		c.Flags().Lookup(name).Usage += " (required)"
	}
}

// narrowing are the flags that choose among what a list holds.
var narrowing = []string{"site", "text", "policy", "open", "cycle", "machine", "owner", "ring", "state", "outcome", "after"}

// narrowed says by which of them a list was narrowed, as typed; empty: by none.
func narrowed(c *cobra.Command) string {
	var given []string
	c.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case !slices.Contains(narrowing, f.Name):
		case f.Value.Type() == "bool":
			given = append(given, "--"+f.Name)
		default:
			given = append(given, "--"+f.Name+" "+strings.Trim(f.Value.String(), "[]"))
		}
	})
	return strings.Join(given, " ")
}
