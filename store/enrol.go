package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// EnrolToken lets machines enrol. The token itself is shown once and never kept.
type EnrolToken struct {
	Hash patching.Digest
	// Site is where the machines that use it belong.
	Site patching.SiteName
	// Uses is how many are left.
	Uses    int
	Expires time.Time
	By      patching.AccountName
	// AutoAccept spares the machines the wait for somebody to accept them.
	AutoAccept bool
}

const deviceColumns = "id, asset, key, state, site, counter, boot, enrolled, clock_off"

// deviceRank orders the states; a device moves forward only.
var deviceRank = map[patching.DeviceState]int{
	patching.DevicePending: 1, patching.DeviceAccepted: 2, patching.DeviceQuarantined: 3, patching.DeviceRevoked: 4,
}

// PutEnrolToken keeps a token. Keeping it again changes nothing: its uses are
// not given back.
func (s *Store) PutEnrolToken(ctx context.Context, e EnrolToken) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO enrol_tokens (hash, site, uses, expires, made_by, auto_accept)
			VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
			string(e.Hash), string(e.Site), e.Uses, micros(e.Expires), string(e.By), e.AutoAccept)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep an enrolment token: %w", err)
	}
	return nil
}

// EnrolTokens returns all tokens, those that expire first before the others.
func (s *Store) EnrolTokens(ctx context.Context) ([]EnrolToken, error) {
	out, err := all(ctx, s.reader(), scanEnrolToken,
		"SELECT hash, site, uses, expires, made_by, auto_accept FROM enrol_tokens ORDER BY expires, hash")
	if err != nil {
		return nil, fmt.Errorf("list enrolment tokens: %w", err)
	}
	return out, nil
}

// Enrol takes one use of the token and makes the device, and its asset unless
// there is one of that id. It sets the device's state and site as the token
// says. A key that is enrolled already gets its device back and takes no use:
// the answer to the first try was lost on the way.
//
// The asset counts as enrolled once its device is accepted. If the asset has an
// accepted device already, that one stays in force until the new one is accepted.
//
// Besides [ErrNotFound] for a token that is none, it returns [ErrTokenSpent]
// and [ErrTokenExpired].
func (s *Store) Enrol(ctx context.Context, tokenHash patching.Digest, now time.Time, d patching.Device, a patching.Asset) (patching.Device, error) {
	if a.ID == "" {
		a.ID = d.Asset
	}
	if d.ID == "" || a.ID == "" || len(d.Key) == 0 {
		return patching.Device{}, errors.New("enrol: a device needs an id, a key and an asset's id")
	}
	d.Asset = a.ID
	var enrolled patching.Device
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		known, err := one(ctx, t.querier, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE key = ?", d.Key)
		if err == nil {
			enrolled = known
			return nil
		}
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		token, err := t.useToken(ctx, tokenHash, now)
		if err != nil {
			return err
		}
		enrolled, err = t.addDevice(ctx, token, now, d, a)
		return err
	})
	if err != nil {
		return patching.Device{}, fmt.Errorf("enrol device %s: %w", d.ID, err)
	}
	return enrolled, nil
}

func (t *tx) useToken(ctx context.Context, hash patching.Digest, now time.Time) (EnrolToken, error) {
	token, err := one(ctx, t.querier, scanEnrolToken,
		"SELECT hash, site, uses, expires, made_by, auto_accept FROM enrol_tokens WHERE hash = ?", string(hash))
	switch {
	case errors.Is(err, ErrNotFound):
		return token, fmt.Errorf("enrolment token: %w", ErrNotFound)
	case err != nil:
		return token, err
	case token.Uses < 1:
		return token, ErrTokenSpent
	case !token.Expires.IsZero() && !now.Before(token.Expires):
		return token, ErrTokenExpired
	}
	_, err = t.exec(ctx, "UPDATE enrol_tokens SET uses = uses - 1 WHERE hash = ?", string(hash))
	return token, err
}

func (t *tx) addDevice(ctx context.Context, token EnrolToken, now time.Time, d patching.Device, a patching.Asset) (patching.Device, error) {
	d.State, d.Enrolled = patching.DevicePending, fromMicros(micros(now))
	if token.AutoAccept {
		d.State = patching.DeviceAccepted
	}
	if token.Site != "" {
		d.Site = token.Site
	}
	counter, err := signed(d.Counter)
	if err != nil {
		return d, err
	}
	_, err = t.exec(ctx, `INSERT INTO devices (id, asset, key, state, site, counter, boot, enrolled, token, relay, seen, clock_off)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, 0)`,
		string(d.ID), string(d.Asset), d.Key, string(d.State), string(d.Site), counter, d.Boot, micros(now), string(token.Hash))
	if err != nil {
		return d, fmt.Errorf("add it; its id may belong to another key: %w", err)
	}
	if a.Site == "" || token.Site != "" {
		a.Site = d.Site
	}
	a.Device = d.ID
	if _, err := t.merge(ctx, assetsTable, "(id) DO NOTHING", [][]any{assetRow(a)}); err != nil {
		return d, fmt.Errorf("add its asset %s: %w", a.ID, err)
	}
	if d.State == patching.DeviceAccepted {
		return d, t.takeAsset(ctx, d.ID)
	}
	return d, nil
}

// takeAsset makes an accepted device the one of its asset.
func (t *tx) takeAsset(ctx context.Context, d patching.DeviceID) error {
	_, err := t.exec(ctx, "UPDATE assets SET device = ? WHERE id = (SELECT asset FROM devices WHERE id = ?) AND device <> ?",
		string(d), string(d), string(d))
	return err
}

// Device returns a device by its id.
func (s *Store) Device(ctx context.Context, id patching.DeviceID) (patching.Device, error) {
	d, err := one(ctx, s.reader(), scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE id = ?", string(id))
	if err != nil {
		return d, fmt.Errorf("device %s: %w", id, err)
	}
	return d, nil
}

// DeviceByKey returns a device by its public key.
func (s *Store) DeviceByKey(ctx context.Context, key []byte) (patching.Device, error) {
	d, err := one(ctx, s.reader(), scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE key = ?", blob(key))
	if err != nil {
		return d, fmt.Errorf("device by key: %w", err)
	}
	return d, nil
}

// Devices returns the devices in one of the states, or all, by id.
func (s *Store) Devices(ctx context.Context, states ...patching.DeviceState) ([]patching.Device, error) {
	f := s.filter()
	f.within("state", list(states))
	out, err := all(ctx, s.reader(), scanDevice, "SELECT "+deviceColumns+" FROM devices"+f.where()+" ORDER BY id", f.args...)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return out, nil
}

// SetDeviceState moves a device forward: pending, accepted, quarantined,
// revoked. A step back is [ErrFinal]; such a machine has to enrol again.
func (s *Store) SetDeviceState(ctx context.Context, id patching.DeviceID, to patching.DeviceState) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		var is patching.DeviceState
		if err := t.row(ctx, []any{&is}, "SELECT state FROM devices WHERE id = ?", string(id)); err != nil {
			return err
		}
		switch {
		case deviceRank[to] == 0:
			return fmt.Errorf("%q is no state of a device", to)
		case is == to:
			return nil
		case deviceRank[to] < deviceRank[is]:
			return fmt.Errorf("%s %w and cannot become %s; the machine has to enrol again", is, ErrFinal, to)
		}
		if _, err := t.exec(ctx, "UPDATE devices SET state = ? WHERE id = ?", string(to), string(id)); err != nil {
			return err
		}
		if to == patching.DeviceAccepted {
			return t.takeAsset(ctx, id)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("device %s: %w", id, err)
	}
	return nil
}

// ReplaceDevice puts a device in the place of another, whose machine was installed anew:
// the asset of the old one becomes that of the fresh one, with all that is known of it,
// and every other device of it is revoked. The asset under which the fresh one enrolled is
// gone. Doing it again changes nothing.
//
// It is [ErrFinal] for a fresh device that is quarantined or revoked, or whose own asset
// was in a cycle already: what happened there stays that asset's.
func (s *Store) ReplaceDevice(ctx context.Context, old, fresh patching.DeviceID) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		read := func(id patching.DeviceID) (patching.Device, error) {
			return one(ctx, t.querier, scanDevice, "SELECT "+deviceColumns+" FROM devices WHERE id = ?", string(id))
		}
		was, err := read(old)
		if err != nil {
			return fmt.Errorf("device %s: %w", old, err)
		}
		is, err := read(fresh)
		switch {
		case err != nil:
			return err
		case is.State != patching.DevicePending && is.State != patching.DeviceAccepted:
			return fmt.Errorf("that it is %s %w", is.State, ErrFinal)
		case is.ID == was.ID:
			return errors.New("a device does not replace itself")
		}
		if is.Asset != was.Asset {
			if err := t.moveDevice(ctx, is, was.Asset); err != nil {
				return err
			}
		}
		if _, err := t.exec(ctx, "UPDATE devices SET state = ? WHERE asset = ? AND id <> ?", string(patching.DeviceRevoked), string(was.Asset), string(fresh)); err != nil {
			return err
		}
		if _, err := t.exec(ctx, "UPDATE devices SET state = ? WHERE id = ?", string(patching.DeviceAccepted), string(fresh)); err != nil {
			return err
		}
		return t.takeAsset(ctx, fresh)
	})
	if err != nil {
		return fmt.Errorf("put device %s in the place of %s: %w", fresh, old, err)
	}
	return nil
}

// moveDevice makes a device that of another asset. Its own goes.
func (t *tx) moveDevice(ctx context.Context, d patching.Device, to patching.AssetID) error {
	var cycles int
	if err := t.row(ctx, []any{&cycles}, "SELECT COUNT(*) FROM deployments WHERE asset = ?", string(d.Asset)); err != nil {
		return err
	}
	if cycles > 0 {
		return fmt.Errorf("its machine was in a cycle as %s, and that %w: revoke the old device and keep the new one as it is", d.Asset, ErrFinal)
	}
	if _, err := t.exec(ctx, "UPDATE devices SET asset = ? WHERE id = ?", string(to), string(d.ID)); err != nil {
		return err
	}
	_, err := t.exec(ctx, "DELETE FROM assets WHERE id = ? AND NOT EXISTS (SELECT 1 FROM devices WHERE devices.asset = assets.id)", string(d.Asset))
	return err
}

// NoteClocks keeps how far the clocks of devices are off, as they said it last.
func (s *Store) NoteClocks(ctx context.Context, off map[patching.DeviceID]time.Duration) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		rows := make([][]any, 0, len(off))
		for id, d := range off {
			rows = append(rows, []any{string(id), d.Microseconds()})
		}
		_, err := t.bulk(ctx, "UPDATE devices SET clock_off = v.clock_off FROM {rows} AS v WHERE devices.id = v.id", clockColumns, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("note the clocks of %d devices: %w", len(off), err)
	}
	return nil
}

var clockColumns = append(text("id"), ints("clock_off")...)

func scanEnrolToken(row scanner) (EnrolToken, error) {
	var e EnrolToken
	err := row.Scan(&e.Hash, &e.Site, &e.Uses, instant{&e.Expires}, &e.By, &e.AutoAccept)
	return e, err
}

func scanDevice(row scanner) (patching.Device, error) {
	var d patching.Device
	err := row.Scan(&d.ID, &d.Asset, &d.Key, &d.State, &d.Site, &d.Counter, &d.Boot, instant{&d.Enrolled}, span{&d.ClockOff})
	return d, err
}
