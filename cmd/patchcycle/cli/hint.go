package cli

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// hints makes the commands that people are told to type mean the server that they
// asked, where they named it by flags: without these the command would ask another.
func hints(root *cobra.Command) func(words string) string {
	var local, asking string
	f := root.PersistentFlags()
	given := func(name string) string {
		if flag := f.Lookup(name); flag != nil && flag.Changed {
			return " --" + name + " " + quoted(flag.Value.String())
		}
		return ""
	}
	local = given("data-dir")
	if asking = given("server") + given("ca-file"); asking == "" {
		asking = local
	}
	if local == "" && asking == "" {
		return func(words string) string { return words }
	}
	return func(words string) string {
		return commandLine.ReplaceAllStringFunc(words, func(line string) string {
			if strings.HasSuffix(line, " --help") {
				return line
			}
			program, rest, _ := strings.Cut(line, " ")
			name, _, _ := strings.Cut(rest, " ")
			switch {
			case slices.Contains(onThisMachine, name):
				return program + local + " " + rest
			case slices.ContainsFunc(root.Commands(), func(c *cobra.Command) bool { return c.Name() == name }):
				return program + asking + " " + rest
			default:
				return line // no command: a sentence about patchcycle
			}
		})
	}
}

// commandLine finds commands in a text. What only asks for help needs no server.
var commandLine = regexp.MustCompile(`\bpatchcycle [a-z]+( [a-z]+ --help| --help)?`)

// onThisMachine are the commands that work on a data directory and ask no server.
var onThisMachine = []string{"server", "demo", "engine"}

// quoted makes a word that a shell takes as it is.
func quoted(s string) string {
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%"
