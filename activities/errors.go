package activities

import (
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/store"
)

// ErrRefused marks what no repetition can change: a policy that does not exist,
// a plan that has grown, a document that does not parse.
var ErrRefused = errors.New("refused")

// Classify is the one switch from domain errors to retryable or not. What it
// does not know is tried again: a database that restarts looks like anything.
func Classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrRefused):
		return temporal.NewNonRetryableApplicationError(err.Error(), "Refused", err)
	case errors.Is(err, store.ErrNotFound):
		return temporal.NewNonRetryableApplicationError(err.Error(), "NotFound", err)
	default:
		return err
	}
}
