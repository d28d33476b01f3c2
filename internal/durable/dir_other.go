//go:build !unix

package durable

// SyncDir does nothing: folders cannot be flushed here.
func SyncDir(string) error { return nil }
