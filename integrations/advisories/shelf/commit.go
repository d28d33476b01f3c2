package shelf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// Refused is the error of an edition that does not take the place of the kept one.
type Refused struct {
	// Why is a sentence.
	Why string
	// Judged: it can be read, and was found worse. A person may accept that.
	Judged bool
}

// Error says that it was refused and why.
func (r *Refused) Error() string { return "refused: " + r.Why }

// Terms are by what an edition is judged.
type Terms struct {
	Now time.Time
	// Keys have to have signed it, if there are any.
	Keys apt.Keys
	// Accept lets an edition in that is judged worse.
	Accept bool
}

// Judged is how a draft ended.
type Judged struct {
	// Kept is the edition that counts now; New: it is the draft.
	Kept Kept
	New  bool
	// Accepted is what would have kept it out, and was accepted.
	Accepted string
}

// Commit reads the draft, judges it, and makes it the edition that counts. After an
// error, which is a [*Refused] if it is the edition's own fault, the one before counts.
func (d *Draft) Commit(ctx context.Context, t Terms) (Judged, error) {
	j := Judged{Kept: d.Kept}
	next := Kept{Documents: d.documents, Whole: d.Whole, Through: d.Through}
	slices.SortFunc(next.Documents, func(a, b Document) int { return strings.Compare(a.Name, b.Name) })
	next.Edition.Digest = digest(next.Documents)
	same := func() bool { return next.Edition.Digest == d.Kept.Edition.Digest && !d.damaged }
	if !same() {
		if err := d.read(ctx, &next, t); err != nil {
			return j, err
		}
	}
	if same() {
		// The same bytes; the servers may call their state otherwise now.
		next.Edition = d.Kept.Edition
		j.Kept = next
		return j, d.note(next)
	}
	if why := worse(next, d.Kept, t); why != "" {
		// What says nothing is no edition: who accepts it means another file.
		if readable := !next.Edition.Empty(); !t.Accept || !readable {
			return j, &Refused{Why: why, Judged: readable}
		}
		j.Accepted = why
	}
	if err := d.replace(next); err != nil {
		return j, err
	}
	j.Kept, j.New = next, true
	return j, nil
}

func worse(next, kept Kept, t Terms) string {
	if !next.Edition.Empty() && len(t.Keys) > 0 && !next.Edition.Signed {
		return "None of the keys in the feed's keyring has signed all of it."
	}
	return next.Edition.Worse(kept.Edition, t.Now)
}

// read finds out what the draft says.
func (d *Draft) read(ctx context.Context, next *Kept, t Terms) error {
	named := map[string]bool{}
	for _, doc := range next.Documents {
		named[doc.Name] = true
	}
	if err := sweep(d.dir, func(name string) bool { return named[name] }); err != nil {
		return err
	}
	files, refused, err := advisories.ReadFolder(ctx, os.DirFS(d.dir), d.shelf.limits)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	files, refused = advisories.Link(withoutKeyrings(files), refused, t.Keys, t.Now)
	if len(refused) > 0 {
		return unreadable(refused)
	}
	kept := files[:0]
	for _, f := range files {
		if len(f.Feeds) > 0 {
			kept = append(kept, f)
			continue
		}
		if d.fetched {
			doc, _ := next.Document(f.Name)
			return &Refused{Why: fmt.Sprintf("What came from %s is no feed that we can read: is the address right?", doc.Address)}
		}
		if err := d.leaveOut(next, f.Name); err != nil {
			return err
		}
	}
	counted := advisories.Distinct(kept) // copies would make up for what is missing
	if !d.Through.IsZero() {
		kept = advisories.Latest(kept)
		counted = kept // what is said twice is left out of the earlier one already
	}
	e := patching.FeedEdition{
		Digest: digest(next.Documents), Got: t.Now.UTC(), Records: map[string]int{}, Formats: advisories.Counted(counted),
		Signed: len(t.Keys) > 0 && advisories.Signed(kept),
	}
	for _, kinds := range e.Formats {
		for kind, n := range kinds {
			e.Records[kind] += n
		}
	}
	for _, f := range kept {
		if !f.Made.Before(e.Made) {
			e.Revision, e.Made = f.Revision, f.Made
		}
	}
	next.Edition = e
	return nil
}

// unreadable says why the first was refused, and how many more were.
func unreadable(refused []advisories.Refusal) error {
	if disk := new(fs.PathError); errors.As(refused[0].Err, &disk) {
		return refused[0].Err // not the feed's fault
	}
	why := fmt.Sprintf("It cannot be read: %s.", refused[0].Err)
	if n := len(refused) - 1; n > 0 {
		why += fmt.Sprintf(" So it is with %d more.", n)
	}
	return &Refused{Why: why}
}

// leaveOut takes a file out that nobody asked for and that is no feed: a README beside
// the others.
func (d *Draft) leaveOut(next *Kept, name string) error {
	next.Documents = slices.DeleteFunc(next.Documents, func(doc Document) bool { return doc.Name == name })
	path, err := d.Path(name)
	if err != nil {
		return err
	}
	return os.Remove(path)
}

// replace makes the draft the edition that counts: from the moment at which the note is
// replaced.
func (d *Draft) replace(next Kept) error {
	if err := d.syncFolders(); err != nil {
		return err
	}
	s := d.shelf
	if next.Edition.Digest == d.Kept.Edition.Digest { // it is damaged, and goes before it comes again
		s.reading.Lock()
		defer s.reading.Unlock()
		return d.put(next)
	}
	if err := d.put(next); err != nil {
		return err
	}
	s.reading.Lock()
	defer s.reading.Unlock()
	_ = s.tidy(d.name) // it counts by now: what is left is removed when the shelf is opened
	return nil
}

func (d *Draft) put(next Kept) error {
	s := d.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	parent := s.path(d.name, keptDir)
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return err
	}
	target := s.path(d.name, keptDir, editionID(next.Edition))
	if err := os.RemoveAll(target); err != nil { // of an attempt that broke off behind the next line
		return err
	}
	if err := os.Rename(d.dir, target); err != nil {
		return err
	}
	for _, dir := range []string{parent, s.path(d.name), s.dir} {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	if err := writeNote(s.path(d.name, keptNote), next); err != nil {
		return err
	}
	s.kept[d.name] = next
	s.setDamaged(d.name, false)
	return nil
}

// note keeps what is new about an edition that is the same.
func (d *Draft) note(next Kept) error {
	d.shelf.mu.Lock()
	defer d.shelf.mu.Unlock()
	if err := writeNote(d.shelf.path(d.name, keptNote), next); err != nil {
		return err
	}
	d.shelf.kept[d.name] = next
	return nil
}
