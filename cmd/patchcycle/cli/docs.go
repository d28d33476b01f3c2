package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

func newDocs(e *env) *cobra.Command {
	c := group("docs", "Print pages of the documentation", &cobra.Command{
		Use: "cli", Short: "Print the reference of the command line, in Markdown", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := e.session(c).out.Write(reference(c.Root()))
			return err
		},
	})
	c.Hidden = true
	return c
}

// reference is docs/cli.md, made from the commands themselves.
func reference(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# The command line

<!-- Made by "patchcycle docs cli"; change the commands, then run: make docs -->

%s

`, markdown(root.Long))
	b.WriteString("## Commands\n\n| | |\n| --- | --- |\n")
	index(&b, root)
	verbTable(&b)
	b.WriteString("\n## Flags of every command\n\n")
	flags(&b, root.PersistentFlags())
	for _, c := range visible(root) {
		section(&b, c, 2)
	}
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

func visible(c *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			out = append(out, sub)
		}
	}
	return out
}

func index(b *bytes.Buffer, c *cobra.Command) {
	for _, sub := range visible(c) {
		if len(visible(sub)) == 0 || acts(sub) {
			fmt.Fprintf(b, "| [`%s`](#%s) | %s |\n", strings.TrimPrefix(sub.CommandPath(), "patchcycle "), anchor(sub), sub.Short)
		}
		index(b, sub)
	}
}

// acts says whether a command that holds others does something by itself, too.
func acts(c *cobra.Command) bool {
	return c.HasParent() && c.LocalNonPersistentFlags().HasAvailableFlags()
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// verbTable shows the one table of verbs that commands, API and cycle share.
func verbTable(b *bytes.Buffer) {
	b.WriteString("\n## What steering a cycle does\n\n| verb | machines that have not started | at work | done | to take it back | who may |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range contract.Verbs() {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s | %s |\n", r.Verb, r.NotStarted, r.AtWork, r.Done, r.Undo, words(r.May))
	}
}

func section(b *bytes.Buffer, c *cobra.Command, level int) {
	fmt.Fprintf(b, "\n%s %s\n\n", strings.Repeat("#", level), c.CommandPath())
	b.WriteString(markdown(cmp.Or(c.Long, c.Short+".")) + "\n")
	if c.Runnable() && c.Args != nil && len(visible(c)) == 0 || acts(c) {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\nFor example:\n\n```\n%s\n```\n", c.Example)
	}
	if c.LocalNonPersistentFlags().HasAvailableFlags() {
		b.WriteString("\n")
		flags(b, c.LocalNonPersistentFlags())
	}
	for _, sub := range visible(c) {
		section(b, sub, min(level+1, 4))
	}
}

// markdown keeps lists that are made by indentation as they are.
func markdown(text string) string {
	var out []string
	listed := false
	for _, line := range strings.Split(text, "\n") {
		indented := strings.HasPrefix(line, "  ")
		if indented != listed {
			if indented {
				out = append(out, "", "```")
			} else {
				out = append(out, "```")
			}
			listed = indented
		}
		out = append(out, line)
	}
	if listed {
		out = append(out, "```")
	}
	return strings.Join(out, "\n")
}

func flags(b *bytes.Buffer, set *pflag.FlagSet) {
	b.WriteString("| flag | |\n| --- | --- |\n")
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if kind, _ := pflag.UnquoteUsage(f); kind != "" {
			name += " " + kind
		}
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		usage := strings.ReplaceAll(f.Usage, "|", "\\|")
		switch f.DefValue {
		case "", "false", "0", "[]":
		default:
			usage += fmt.Sprintf(" (default: `%s`)", f.DefValue)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", name, usage)
	})
}
