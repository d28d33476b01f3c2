package engine

import "fmt"

const lockFile = "engine.lock"

func lockedError(dir string) error {
	return fmt.Errorf("another patchcycle is running on %s: stop it first, or choose another state folder", dir)
}
