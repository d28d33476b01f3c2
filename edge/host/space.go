package host

// Space is what is left on a file system.
type Space struct {
	Device uint64 // tells file systems apart
	Bytes  int64  // that others than root may use
	Inodes int64
	// CountsInodes: some file systems make them as they are needed.
	CountsInodes bool
}
