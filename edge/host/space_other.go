//go:build !linux

package host

import "errors"

// SpaceAt is not known here.
func SpaceAt(string) (Space, error) {
	return Space{}, errors.New("the space on disk is only known on Linux")
}

// LockedBy is not known here.
func LockedBy(string) (process int, locked bool, err error) { return 0, false, nil }
