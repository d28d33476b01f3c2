package e2e_test

import (
	"os"
	"testing"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/app"
	"github.com/patchcycle/patchcycle/internal/build"
)

// asProgram makes this test binary the program itself, so that tests can start
// and kill real processes without linking the engine a second time.
const asProgram = "PATCHCYCLE_MAIN=1"

func TestMain(m *testing.M) {
	if os.Getenv("PATCHCYCLE_MAIN") == "1" {
		os.Exit(app.Main(build.Of("e2e", ""), os.Args[1:])) //nolint:forbidigo // here the test binary is the command
	}
	m.Run()
}
