package agent

import (
	"context"
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Enrol asks the server to take a machine in, and returns who it is from then
// on. The same key may ask again after a failure. With a fingerprint the
// server's trust root must be the one that it names; without, whoever answers
// is believed. A machine whose state is pending waits for a person.
func Enrol(ctx context.Context, link uplink.Link, token string, key trust.Key, asset patching.Asset, host Host, fingerprint patching.Digest) (Identity, patching.DeviceState, error) {
	rules, err := host.Rules()
	facts := uplink.FactsOf(withRules(asset, rules, err))
	resp, err := link.Enrol(ctx, uplink.NewEnrolRequest(token, key.Private(), facts))
	if err != nil {
		return Identity{}, "", err
	}
	if resp.Device == "" {
		return Identity{}, "", errors.New("enrol: the server gave no device id")
	}
	if _, err := trust.Pin(resp.Root, fingerprint); err != nil {
		return Identity{}, "", fmt.Errorf("enrol: %w", err)
	}
	return Identity{Device: resp.Device, Key: key.Private(), Root: resp.Root}, resp.State, nil
}
