package feeds

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/unpack"
)

// lastGood is the text of the file as it was when it was last in force, so that a mistake
// that is there at the start does not stop all feeds.
func (k *Keeper) lastGood() string { return filepath.Join(k.Dir, "feeds.yaml") }

// restore puts in force what was so when the server stopped.
func (k *Keeper) restore() {
	text, err := unpack.ReadFile(k.lastGood(), sources.MaxConfig)
	if err != nil {
		return // there is none: all waits for the file
	}
	// A keyring or a key that it names may be gone: then the file itself says so.
	if config, err := sources.Parse(k.File, text); err == nil {
		k.enforce(config)
	}
}

func (k *Keeper) enforce(c sources.Config) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if was := k.config.Proxy; (was == nil) != (c.Proxy == nil) || was != nil && was.String() != c.Proxy.String() {
		o := k.Fetch
		o.Proxy = c.Proxy
		k.client = fetch.New(o)
	}
	k.config = c
}

// Reload reads the file again. With a mistake in it what was in force stays.
func (k *Keeper) Reload() {
	text, err := unpack.ReadFile(k.File, sources.MaxConfig)
	var config sources.Config
	switch {
	case errors.Is(err, fs.ErrNotExist) && !k.Named:
		err = nil
	case err == nil:
		config, err = sources.Parse(k.File, text)
	}
	if err == nil {
		k.enforce(config)
		err = k.remember(text)
	}
	trouble := ""
	if err != nil {
		trouble = fmt.Sprintf("The list of feeds is not in force as it stands; what was in force before is: %s", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if trouble != "" && trouble != k.trouble {
		k.Log.Error("the list of feeds is not in force as it stands", zap.Error(err))
	}
	k.trouble = trouble
}

// remember keeps the text that is in force; none is kept as none.
func (k *Keeper) remember(text []byte) error {
	was, err := os.ReadFile(k.lastGood())
	if err == nil && bytes.Equal(was, text) || errors.Is(err, fs.ErrNotExist) && text == nil {
		return nil
	}
	if text == nil {
		return os.Remove(k.lastGood())
	}
	return durable.Replace(k.lastGood(), 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// Trouble says why the list of feeds is not in force as it stands; empty: it is.
func (k *Keeper) Trouble() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.trouble
}
