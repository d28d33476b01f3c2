package cli

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

// inWords makes an error of the command line of a request that the server took
// for none: who typed it knows arguments and flags, not the API's fields.
func inWords(root *cobra.Command, args []string, err error) error {
	var problem *wire.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusUnprocessableEntity || problem.Code != wire.CodeInvalid {
		return err
	}
	c, _, lost := root.Find(args)
	if lost != nil {
		return err
	}
	var said []string
	for _, f := range problem.Errors {
		if where := typedAs(c, f.Location); where != "" {
			said = append(said, where+": "+wanted(c, f))
		}
	}
	if len(said) == 0 { // of the whole request, and the server's words are good
		plain := *problem
		if strings.Contains(plain.WayOut, "/openapi.json") {
			plain.WayOut = fmt.Sprintf("See: %s --help", c.CommandPath())
		}
		return &plain
	}
	return usage(c, "%s", strings.Join(said, "; "))
}

// otherwise are the arguments and flags that give a field of the API's, where
// they are not called as it is. Arguments are written as in the line of use.
var otherwise = map[string][]string{
	"name": {"NAME"}, "slug": {"NAME"}, "account": {"NAME"}, "policy": {"POLICY", "CYCLE"}, "kind": {"CYCLE"}, "run": {"CYCLE"},
	"task": {"TASK"}, "asset": {"MACHINE", "machine"}, "assets": {"machine"}, "device": {"DEVICE"}, "file": {"FILE"}, "text": {"MACHINE", "machine"},
	"hours": {"for"}, "roles": {"role"}, "scopes": {"scope"}, "ssh-keys": {"ssh-key"}, "tags": {"tag"}, "services": {"service"},
	"advisory": {"ADVISORY"}, "cve": {"ADVISORY"}, "selector": {"select", "machine"},
	"idempotency-key": {"once"}, "at": {"as-of"},
}

// numbered is how a location names a part of a list.
var numbered = regexp.MustCompile(`\[\d+\]`)

// typedAs names the argument or the flag that a location of the API's was made
// of, with what was typed there; empty: none of the command's.
func typedAs(c *cobra.Command, location string) string {
	field := fieldOf(location)
	for _, name := range append([]string{field}, otherwise[field]...) {
		if flag := c.Flags().Lookup(name); flag != nil {
			if kind := flag.Value.Type(); strings.HasSuffix(kind, "Slice") || strings.HasSuffix(kind, "Array") {
				return "--" + name
			}
			return fmt.Sprintf("--%s %q", name, flag.Value)
		}
		at := slices.Index(arguments(c), name)
		if given := c.Flags().Args(); at >= 0 && at < len(given) {
			return fmt.Sprintf("%s %q", name, given[at])
		}
	}
	return ""
}

func fieldOf(location string) string {
	_, field, _ := strings.Cut(numbered.ReplaceAllString(location, ""), ".")
	return strings.ReplaceAll(strings.ToLower(field), "_", "-")
}

// arguments are the names in a command's line of use: [CYCLE] is CYCLE.
func arguments(c *cobra.Command) []string {
	var names []string
	for _, word := range strings.Fields(c.Use)[1:] {
		names = append(names, strings.Trim(word, "[]."))
	}
	return names
}

// theirs are what the API's framework says of a value; all else is the server's
// own words.
var theirs = []struct {
	said  *regexp.Regexp
	words func(what string) string
}{
	{regexp.MustCompile(`^expected string to match pattern \^\[a-z0-9\]\(\[a-z0-9([^]]*)\]\{0,62\}`), func(signs string) string {
		return "write lower-case letters and digits, with " + signsInWords(signs) + " between them, 64 at most"
	}},
	{regexp.MustCompile(`^expected number >= (.*)`), func(n string) string { return "write " + n + " or more" }},
	{regexp.MustCompile(`^expected number <= (.*)`), func(n string) string { return "write " + n + " at most" }},
	{regexp.MustCompile(`^expected length >= (1)$`), func(string) string { return "it is empty" }},
	{regexp.MustCompile(`^expected length <= (.*)`), func(n string) string { return "write " + n + " characters at most" }},
	{regexp.MustCompile(`^expected array length >= (.*)`), func(n string) string { return "name " + n + " or more" }},
	{regexp.MustCompile(`^expected array length <= (.*)`), func(n string) string { return "name " + n + " at most" }},
	{regexp.MustCompile(`^expected value to be one of "(.*)"`), func(all string) string { return "write one of " + all }},
}

// wanted says what the field takes.
func wanted(c *cobra.Command, f wire.Fault) string {
	for _, t := range theirs {
		found := t.said.FindStringSubmatch(f.Message)
		if found == nil {
			continue
		}
		what := found[1]
		if fieldOf(f.Location) == "hours" && c.Flags().Lookup("for") != nil {
			what += "h"
		}
		return t.words(what)
	}
	return f.Message
}

func signsInWords(signs string) string {
	var all []string
	for _, r := range signs {
		switch r {
		case '.':
			all = append(all, "dots")
		case '_':
			all = append(all, "underscores")
		case '-':
			all = append(all, "dashes")
		}
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
