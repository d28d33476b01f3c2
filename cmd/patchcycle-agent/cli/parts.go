package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/courier"
)

// bothParts is how the agent's two parts stand.
type bothParts struct {
	// Hand: an agent has this home's journal in hand.
	Hand bool `json:"hand"`
	// Courier is what the courier says; nil: it does not answer, and Silence says why,
	// or there is none on this machine.
	Courier *courier.Status `json:"courier,omitempty"`
	Silence string          `json:"courier_error,omitempty"`
}

// parts looks at both of them. There is a courier where somebody made the folder of its
// sockets.
func (e *env) parts(ctx context.Context) bothParts {
	p := bothParts{Hand: agent.Home(e.home).Running()}
	if _, err := os.Stat(filepath.Dir(e.courierSocket)); os.IsNotExist(err) {
		return p
	}
	s, err := courier.Ask(ctx, e.courierSocket)
	if err != nil {
		p.Silence = err.Error()
		return p
	}
	p.Courier = &s
	return p
}

func (p bothParts) words() string {
	words := ""
	if !p.Hand {
		words = "No agent is at work here now: systemctl status patchcycle-agent\n"
	}
	switch {
	case p.Silence != "":
		words += fmt.Sprintf("Nothing reaches the server: %s\n", edgecli.Line(p.Silence))
	case p.Courier == nil:
	case !p.Hand:
		words += "The courier serves nobody.\n"
	case p.Courier.Trouble != "":
		words += fmt.Sprintf("The courier has no line to %s: %s\n", edgecli.Line(p.Courier.Server), edgecli.Line(p.Courier.Trouble))
	case p.Courier.Answered.IsZero():
		words += fmt.Sprintf("The courier has not heard from %s yet.\n", edgecli.Line(p.Courier.Server))
	default:
		words += fmt.Sprintf("The courier last heard from %s at %s.\n", edgecli.Line(p.Courier.Server), edgecli.Local(p.Courier.Answered))
	}
	return words
}
