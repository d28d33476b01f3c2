// Command patchcycle is the control plane of patch cycles and its command line.
package main

import (
	"os"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/app"
	"github.com/patchcycle/patchcycle/internal/build"
)

// version and commit are set by the linker.
var version, commit = "0.2.0-dev", ""

func main() { os.Exit(app.Main(build.Of(version, commit), os.Args[1:])) }
