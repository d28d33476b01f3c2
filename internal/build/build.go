// Package build says which build of a program this is.
package build

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Info names a build.
type Info struct {
	Version string `json:"version"`
	// Commit is what it was built from; empty: nobody said.
	Commit string `json:"commit,omitempty"`
	Go     string `json:"go"`
	System string `json:"system"`
	// Temporal is the version of the embedded Temporal server; empty: there is none.
	Temporal string `json:"temporal,omitempty"`
}

// Of returns this build. Version and commit are what the linker was told; a
// commit that it was not told is the one that the go command found, if it looked.
func Of(version, commit string) Info {
	read, _ := debug.ReadBuildInfo()
	return of(version, commit, read)
}

func of(version, commit string, read *debug.BuildInfo) Info {
	b := Info{Version: version, Commit: commit, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if read == nil {
		return b
	}
	if b.Commit == "" {
		b.Commit = found(read.Settings)
	}
	for _, m := range read.Deps {
		if m.Path == "go.temporal.io/server" {
			b.Temporal = strings.TrimPrefix(m.Version, "v")
		}
	}
	return b
}

// found is the commit that the go command put in.
func found(settings []debug.BuildSetting) string {
	commit, changed := "", false
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			commit = s.Value
		case "vcs.modified":
			changed = s.Value == "true"
		}
	}
	if commit != "" && changed {
		commit += " with changes"
	}
	return commit
}

// Text is what a program prints of itself.
func (b Info) Text(program string) string {
	var s strings.Builder
	commit := b.Commit
	if commit == "" {
		commit = "unknown, built from source"
	}
	fmt.Fprintf(&s, "%s %s\n", program, b.Version)
	fmt.Fprintf(&s, "  Commit           %s\n", commit)
	fmt.Fprintf(&s, "  Go               %s, %s\n", b.Go, b.System)
	if b.Temporal != "" {
		fmt.Fprintf(&s, "  Temporal server  %s\n", b.Temporal)
	}
	return s.String()
}
