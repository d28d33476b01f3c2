package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// AssetFile is a list of assets that is to be read.
type AssetFile struct {
	// File is a table, "-" is Stdin.
	File  string
	Stdin io.Reader
	// Map says which field a column is, by its heading.
	Map      map[string]string
	Encoding string
}

// AssetTable is what a list of assets says.
type AssetTable struct {
	Columns []AssetColumn
	Rows    []wire.ListedAsset
	// Bad are rows and cells that cannot be used, in words.
	Bad []string
}

// AssetColumn is a column with the field that it was taken for; empty: it is not read.
type AssetColumn struct {
	Heading string `json:"heading"`
	Field   string `json:"field"`
}

// AssetImport is the document of "asset import".
type AssetImport struct {
	wire.AssetComparison
	Columns []AssetColumn `json:"columns"`
	Bad     []string      `json:"bad"`
}

type importFlags struct {
	AssetFile
	source                     string
	maps                       []string
	dryRun, yes, skipBad, json bool
}

func newAssetImport(e *env) *cobra.Command {
	var o importFlags
	c := &cobra.Command{
		Use: "import FILE", Short: "Take a list of machines in, such as a CMDB's export", Args: exactly(1),
		Long: `Take a list of machines in, such as a CMDB's export: a table with a heading, "-" for
standard input. Machines are recognised by serial, cloud instance, MAC, name and
address, in that order. What a machine reports itself stays; owner, business unit,
site, exposure, criticality, data class, tags and services are the list's. Machines
that nobody enrolled are kept too, and shown as such.

It shows what would change, and asks. Rows that cannot be used are named by line and
column, and then nothing is changed without --skip-bad. Read again, the same list
changes nothing.

Columns are known by their headings (docs/inventories.md), or by --map. The fields:
` + listedFields() + `.`,
		Example: "patchcycle asset import cmdb.csv --dry-run\npatchcycle asset import cmdb.csv --map \"Server Name=hostname\" --map Notes=",
		RunE: func(c *cobra.Command, args []string) error {
			o.File = args[0]
			return o.run(c.Context(), e.session(c))
		},
	}
	f := c.Flags()
	f.StringArrayVar(&o.maps, "map", nil, "what a column is: HEADING=FIELD; without a field it is left out")
	choiceFlag(c, &o.Encoding, "encoding", "the table's encoding, if it is neither UTF-8 nor UTF-16", encodings...)
	f.StringVar(&o.source, "source", "", "what the list is called on record [the file's name]")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would change, and change nothing")
	f.BoolVar(&o.skipBad, "skip-bad", false, "take the other rows in where some cannot be used")
	f.BoolVar(&o.yes, "yes", false, "do not ask")
	jsonFlag(c, &o.json)
	return c
}

// listedFields are what a column can be: the fields, and a name with its domain.
func listedFields() string { return words(append(reconcile.Fields(), "fqdn")) }

func (o importFlags) run(ctx context.Context, s *session) error {
	switch {
	case s.ReadAssets == nil:
		return errNotBuilt
	case o.File == "-" && !o.yes && !o.dryRun:
		return usage(s.cmd, "with the list on standard input nobody can be asked: say --dry-run or --yes")
	}
	var err error
	if o.Map, err = mapped(s.cmd, o.maps); err != nil {
		return err
	}
	o.Stdin = s.cmd.InOrStdin()
	table, err := s.ReadAssets(ctx, o.AssetFile)
	if err != nil {
		return err
	}
	if len(table.Rows) == 0 {
		for _, b := range table.Bad {
			s.note("Cannot be used: %s", b)
		}
		return Fail(ExitUsage, "", "%s has no row that can be used", o.File)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	list := wire.AssetList{Source: cmp.Or(o.source, filepath.Base(o.File)), Rows: table.Rows}
	found, err := c.ImportAssets(ctx, list)
	if err != nil {
		return err
	}
	if !o.json {
		s.printColumns(table.Columns)
		s.printComparison(found)
	}
	for _, b := range table.Bad {
		s.note("Cannot be used: %s", b)
	}
	whole := len(table.Bad) == 0 || o.skipBad
	if whole && !o.dryRun && found.Changes > 0 {
		if !o.yes {
			if err := s.agree(fmt.Sprintf("%s would change or become known. Type yes to take that in: ", phrase.Count(found.Changes, "machine"))); err != nil {
				return err
			}
		}
		list.Agreed = found.Digest
		if found, err = c.ImportAssets(ctx, list); err != nil {
			return err
		}
	}
	if o.json {
		if err := s.json(AssetImport{found, table.Columns, append([]string{}, table.Bad...)}); err != nil {
			return err
		}
	} else {
		s.say("%s", o.outcome(found))
	}
	if !whole {
		return Fail(ExitUsage, "Mend them, or take the others in with --skip-bad.", "%s cannot be used: nothing was changed", phrase.Count(len(table.Bad), "row"))
	}
	return nil
}

func (o importFlags) outcome(found wire.AssetComparison) string {
	switch {
	case found.Applied:
		return fmt.Sprintf("Taken in: %s.", phrase.Count(found.Changes, "machine"))
	case found.Changes == 0:
		return "Nothing would change."
	}
	return fmt.Sprintf("Nothing was changed; %s would.", phrase.Count(found.Changes, "machine"))
}

// agree asks, and takes nothing but yes for an answer.
func (s *session) agree(question string) error {
	fmt.Fprint(s.errs, question)
	answers := bufio.NewScanner(s.cmd.InOrStdin())
	if !answers.Scan() || strings.TrimSpace(answers.Text()) != "yes" {
		fmt.Fprintln(s.errs)
		return errors.New("that was not agreed to: nothing was changed")
	}
	return nil
}

// printColumns says what the columns were taken for, and which are not read.
func (s *session) printColumns(all []AssetColumn) {
	var read, left []string
	for _, c := range all {
		if c.Field == "" {
			left = append(left, c.Heading)
		} else {
			read = append(read, fmt.Sprintf("%s as %s", c.Heading, c.Field))
		}
	}
	s.note("Read: %s.", strings.Join(read, ", "))
	if len(left) > 0 {
		s.note("Not read: %s.", strings.Join(left, ", "))
	}
}

// comparedShown is how many rows people are shown: who has more reads them by a program.
const comparedShown = 200

func (s *session) printComparison(found wire.AssetComparison) {
	var rows [][]string
	for i, r := range found.Rows {
		if i == comparedShown {
			s.note("%d more rows are in --json.", len(found.Rows)-comparedShown)
			break
		}
		var words []string
		for _, d := range r.Differences {
			word := fmt.Sprintf("%s: %s (here: %s)", d.Field, strings.Join(d.Theirs, ", "), cmp.Or(strings.Join(d.Ours, ", "), "nothing"))
			if !d.Taken {
				word += ", stays as the machine reports it"
			}
			words = append(words, word)
		}
		if r.Earlier > 0 {
			words = append(words, fmt.Sprintf("line %d is about the same machine", r.Earlier))
		}
		if len(r.Candidates) > 0 {
			words = append(words, "may be "+phrase.Few(r.Candidates, 3))
		}
		words = append(words, r.Why...)
		managed := ""
		if r.Unmanaged {
			managed = "no agent"
		}
		rows = append(rows, []string{fmt.Sprint(r.Line), r.Name, r.Verdict, cmp.Or(r.Hostname, string(r.Asset)), r.Key, managed, r.Owner, strings.Join(words, "; ")})
	}
	if len(rows) > 0 {
		s.table([]string{"LINE", "MACHINE", "VERDICT", "HERE", "KNOWN BY", "", "OWNER", "WHAT"}, rows)
		s.say("")
	}
	s.say("The same: %d. Differ: %d. Nobody manages: %d. Ambiguous: %d. Twice in the list: %d. Known here and not in the list: %d.",
		found.Same, found.Differs, found.OnlyThey, found.Ambiguous, found.Duplicates, found.OnlyWe)
	var ours []string
	for _, a := range found.OnlyWeList {
		ours = append(ours, cmp.Or(a.Hostname, string(a.ID)))
	}
	if len(ours) > 0 {
		s.say("Not in the list: %s.", phrase.Few(ours, 10))
	}
}
