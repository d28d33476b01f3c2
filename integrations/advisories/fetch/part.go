package fetch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// part is as much of a document as has come. Beside it lies of which document, in which
// state: parts of two states do not fit together.
type part struct {
	Address string `json:"address"`
	Validators

	target string
	file   *os.File
	size   int64
}

func (p *part) name() string { return p.target + ".part" }
func (p *part) note() string { return p.target + ".part.json" }

const maxNote = 64 << 10

// openPart takes up what came of the document before, if the next part would fit to it.
func openPart(target, address string) (p *part, err error) {
	p = &part{target: target}
	text, err := unpack.ReadFile(p.note(), maxNote)
	if err == nil {
		err = json.Unmarshal(text, p)
	}
	fits := err == nil && p.Address == address && p.strong()
	p.Address = address
	if p.file, err = os.OpenFile(p.name(), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, err
	}
	if fits {
		p.size, err = p.file.Seek(0, io.SeekEnd)
	} else {
		err = p.file.Truncate(0)
	}
	if err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// restart begins anew, with a document in that state.
func (p *part) restart(v Validators) error {
	p.size, p.Validators = 0, v
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return durable.Replace(p.note(), 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// fits says why an answer does not go on where the part ends; nil: it does. Servers and
// what stands before them get this wrong, and what comes of it looks whole.
func (p *part) fits(h http.Header) error {
	is := h.Get("Content-Range")
	rest, ok := strings.CutPrefix(is, "bytes "+strconv.FormatInt(p.size, 10)+"-")
	last, whole, two := strings.Cut(rest, "/")
	end, err := strconv.ParseInt(last, 10, 64)
	total, err2 := strconv.ParseInt(whole, 10, 64)
	if p.size == 0 || !ok || !two || err != nil || err2 != nil || end+1 != total {
		return fmt.Errorf("it was asked for what follows %d bytes, and sends %.80q", p.size, is)
	}
	if tag := h.Get("ETag"); tag != "" && tag != p.ETag {
		return errors.New("it sends the rest of another state of the document")
	}
	return nil
}

// finish makes the part the document.
func (p *part) finish() error {
	if err := p.file.Sync(); err != nil {
		return err
	}
	if err := os.Rename(p.name(), p.target); err != nil {
		return err
	}
	return p.forget()
}

func (p *part) forget() error {
	if err := os.Remove(p.note()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// drop forgets what came.
func (p *part) drop() error { return errors.Join(p.file.Truncate(0), p.forget()) }

func (p *part) close() { p.file.Close() }
