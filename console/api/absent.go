package api

import (
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// kind is what people ask for by a name, and the command that lists such things.
type kind struct{ words, list string }

var (
	aMachine  = kind{"machine", "patchcycle asset list"}
	aPolicy   = kind{"policy", "patchcycle policy list"}
	aCycle    = kind{"cycle", "patchcycle cycle list"}
	aTask     = kind{"task", "patchcycle task list --all"}
	aDevice   = kind{"device", "patchcycle enrol list"}
	aFeed     = kind{"feed", "patchcycle feed list"}
	aPlace    = kind{"place with backups", "patchcycle backup list"}
	anAccount = kind{"account", "patchcycle user list"}

	aReview     = kind{"review", "patchcycle urgency list --all"}
	anException = kind{"exception", "patchcycle exception list --all"}
	aWorkAround = kind{"work-around", "patchcycle workaround list --all"}
	anAdvisory  = kind{"hand-entered advisory", "patchcycle advisory list --all"}
	aRecipient  = kind{"recipient", "patchcycle notify list"}
)

// absent explains an error of the store that says that nothing has that name. All
// others stay as they are.
func absent[S ~string](k kind, name S, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	p := notFound(fmt.Sprintf("There is no %s %s.", k.words, name))
	p.WayOut = "See which there are: " + k.list
	return p
}

// notIn is absent for a machine that a cycle may not concern.
func notIn(id patching.CycleID, asset patching.AssetID, err error) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	p := notFound(fmt.Sprintf("There is no machine %s in %s.", asset, id))
	p.WayOut = "See which there are: patchcycle cycle machines " + string(id)
	return p
}
