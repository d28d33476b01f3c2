// Command patchcycle is the control plane of patch cycles and its command line.
package main

import (
	"os"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/app"
)

func main() { os.Exit(app.Main(os.Args[1:])) }
