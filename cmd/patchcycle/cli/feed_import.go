package cli

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

type feedImportOptions struct {
	accept string
	json   bool
}

func newFeedImport(e *env) *cobra.Command {
	var o feedImportOptions
	c := &cobra.Command{
		Use: "import NAME PATH...", Short: "Import the files of a feed", Args: between(2, 1000),
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return e.completeFeeds(c, args, word)
		},
		Long: `Import the files of a feed: files, and folders with all below them, such as a mirror of
an archive's dists. They take the place of the edition before as a whole, so give all
that belong together. One that is worse than the edition before is refused: that stays,
and the code is 1.`,
		Example: "patchcycle feed import kev known_exploited_vulnerabilities.json\n" +
			"patchcycle feed import osv Debian/all.zip AlmaLinux\n" +
			"patchcycle feed import kev kev.json --accept-smaller \"CISA split the catalogue\"",
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.FeedName(args[0]), args[1:])
		},
	}
	c.Flags().StringVar(&o.accept, "accept-smaller", "", "why it may be worse than the edition before: smaller, older, or not signed any more; for administrators and security leads")
	jsonFlag(c, &o.json)
	return c
}

func (o feedImportOptions) run(ctx context.Context, s *session, name patching.FeedName, paths []string) error {
	if err := feedNamed(s.cmd, name); err != nil {
		return err
	}
	if s.cmd.Flags().Changed("accept-smaller") && strings.TrimSpace(o.accept) == "" {
		return usage(s.cmd, "--accept-smaller: say why")
	}
	files, err := listed(paths)
	if err != nil {
		return Fail(ExitUsage, "Name files and folders that can be read.", "%s", err)
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	packed := make(chan error, 1)
	go func() {
		err := (&packer{files: files, note: s.note}).pack(w)
		packed <- err
		w.CloseWithError(err)
	}()
	from := strings.Join(paths, ", ")
	if len(from) > 400 {
		from = fmt.Sprintf("%s and others, %s", paths[0][:min(len(paths[0]), 300)], phrase.Count(len(files), "file"))
	}
	sync, err := c.ImportFeed(ctx, name, from, o.accept, r)
	_ = r.Close() // ends the packer where the server did not want the rest
	var broken brokenFile
	switch {
	case errors.As(<-packed, &broken):
		return Fail(ExitFailed, "Nothing was imported.", "%s", broken)
	case err != nil:
		return err
	}
	if o.json {
		if err := s.json(sync); err != nil {
			return err
		}
	} else {
		f, err := c.Feed(ctx, name)
		if err != nil && exitCode(err) != ExitNotFound { // a feed that never was there has no edition before
			return err
		}
		s.say("%s", syncWords(sync, editionBefore(f.Syncs)))
	}
	if sync.Result == patching.FeedRefused || sync.Result == patching.FeedFailed {
		return &Failure{Code: ExitFailed, Words: "refused", Quiet: true}
	}
	return nil
}

// upload is a file with the name under which it is sent.
type upload struct{ path, name string }

// listed finds the files. A path that is named twice over is the server's to refuse.
func listed(paths []string) (files []upload, err error) {
	names, err := apart(paths)
	if err != nil {
		return nil, err
	}
	for i, p := range paths {
		base := names[i]
		info, err := os.Stat(p)
		switch {
		case err != nil:
			return nil, err
		case info.Mode().IsRegular():
			files = append(files, upload{p, base})
			continue
		case !info.IsDir():
			return nil, fmt.Errorf("%s is neither a file nor a folder", p)
		}
		below := os.DirFS(p)
		err = fs.WalkDir(below, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			// A link to a file is the file: mirrors have many.
			if info, err := fs.Stat(below, name); err != nil || !info.Mode().IsRegular() {
				return err
			}
			files = append(files, upload{filepath.Join(p, filepath.FromSlash(name)), path.Join(base, name)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	if len(files) == 0 {
		return nil, errors.New("there is no file in it")
	}
	return files, nil
}

// apart gives each path its last part as its name, and those that have that in common
// as many of the folders above it as tell them apart: all.zip of two systems. What is one
// and the same stays so.
func apart(paths []string) ([]string, error) {
	parts, depth := make([][]string, len(paths)), make([]int, len(paths))
	names := make([]string, len(paths))
	for i, p := range paths {
		whole, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		parts[i] = strings.FieldsFunc(filepath.ToSlash(strings.TrimPrefix(whole, filepath.VolumeName(whole))), func(r rune) bool { return r == '/' })
		depth[i] = 1
	}
	for again := true; again; {
		count := map[string]int{}
		for i, all := range parts {
			names[i] = path.Join(all[max(0, len(all)-depth[i]):]...)
			count[names[i]]++
		}
		again = false
		for i, all := range parts {
			if count[names[i]] > 1 && depth[i] < len(all) {
				depth[i]++
				again = true
			}
		}
	}
	return names, nil
}

// packer writes files as a tar archive while they are sent.
type packer struct {
	files []upload
	note  func(string, ...any)
	sent  int64
	told  time.Time
}

// brokenFile is an error of a file of ours, and not of the line.
type brokenFile struct{ error }

func (p *packer) pack(to io.Writer) error {
	w := tar.NewWriter(to)
	p.told = time.Now()
	for n, f := range p.files {
		if err := p.add(w, f); err != nil {
			return err
		}
		if time.Since(p.told) > 2*time.Second {
			p.told = time.Now()
			p.note("%d of %d files, %s sent", n+1, len(p.files), phrase.Size(p.sent))
		}
	}
	return w.Close()
}

func (p *packer) add(w *tar.Writer, f upload) error {
	in, err := os.Open(f.path)
	if err != nil {
		return brokenFile{err}
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return brokenFile{err}
	}
	h := &tar.Header{Name: f.name, Size: info.Size(), Mode: 0o600, Typeflag: tar.TypeReg, ModTime: info.ModTime().Truncate(time.Second)}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	n, err := io.Copy(w, io.LimitReader(in, h.Size))
	p.sent += n
	switch {
	case err == nil && n < h.Size:
		return brokenFile{fmt.Errorf("%s became shorter while it was read", f.path)}
	case errors.As(err, new(*fs.PathError)):
		return brokenFile{err}
	}
	return err
}
