// Command patchcycle is the control plane of patch cycles and its command line.
package main

import (
	"os"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/app"
)

// version is set by the linker.
var version = "0.1.0-dev"

func main() { os.Exit(app.Main(version, os.Args[1:])) }
