package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/console/planfile"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/trust"
)

// sign has OpenSSH's own program sign a document: it asks for the passphrase of a
// file, the agent for what only that holds (of a .pub file), and hardware to be touched.
func (s *session) sign(ctx context.Context, namespace string, document []byte, key string) ([]byte, error) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		return nil, Fail(ExitFailed, "Install OpenSSH's client; or sign elsewhere, and give --signature FILE.", "there is no ssh-keygen here to sign with")
	}
	cmd := exec.CommandContext(ctx, program, "-Y", "sign", "-f", key, "-n", namespace)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(document), &out, &errs
	s.note("Signing with %s; if it is a piece of hardware, touch it.", key)
	if err := cmd.Run(); err != nil {
		return nil, Fail(ExitFailed, "Try it yourself: ssh-keygen -Y sign -f "+key+" -n "+namespace+" FILE", "ssh-keygen did not sign: %s", strings.TrimSpace(errs.String()))
	}
	return out.Bytes(), nil
}

// signatureFor returns a signature over the text of a document: that of a file, or one
// that is made now.
func (s *session) signatureFor(ctx context.Context, namespace, text, key, file string) (string, error) {
	var armored []byte
	var err error
	if file != "" {
		armored, err = s.read(file)
	} else {
		armored, err = s.sign(ctx, namespace, []byte(text), key)
	}
	if err != nil {
		return "", err
	}
	if _, err := trust.ParseSignature(armored); err != nil {
		return "", Fail(ExitUsage, "", "%v", err)
	}
	return string(armored), nil
}

// signGrants signs what approving a plan takes, after it was computed again from all
// that the plan says: a server that shows one plan and has another one signed is found
// out here.
func (s *session) signGrants(ctx context.Context, c *client.Client, id patching.CycleID, act *wire.Act, key, file string) error {
	is, err := c.Grants(ctx, id, act.BreakGlass)
	if err != nil {
		return err
	}
	all, err := c.PlanFile(ctx, id)
	if err != nil {
		return err
	}
	if err := s.checkGrants(all, []byte(is.Text), act.Plan, act.BreakGlass); err != nil {
		return err
	}
	act.Signature, err = s.signatureFor(ctx, string(trust.GrantsPaper), is.Text, key, file)
	return err
}

// checkGrants computes a plan again and says what is going to be signed.
func (s *session) checkGrants(all, text []byte, plan patching.Digest, breakGlass string) error {
	f, err := planfile.Read(all)
	if err != nil {
		return Fail(ExitFailed, "", "the plan: %v", err)
	}
	g, err := trust.ReadGrants(text)
	if err == nil {
		err = f.Check(g, breakGlass)
	}
	if err == nil && plan != "" && g.Plan != plan {
		err = fmt.Errorf("the text to sign is for plan %s, you mean %s", g.Plan.Short(), plan.Short())
	}
	if err != nil {
		return Fail(ExitFailed, "", "%v", err)
	}
	s.note("Computed again here: plan %s, in force until %s, going back until %s.", g.Plan.Short(), s.when(g.NotAfter), s.when(g.RevertUntil))
	for _, r := range g.Rings {
		s.note("  ring %s: %s, root %s", r.Ring, phrase.Count(r.Machines, "machine"), r.Root.Short())
	}
	return nil
}

var errTwoWays = errors.New("give --key or --signature, one of them")
