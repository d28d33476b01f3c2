package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/reconcile"
	"github.com/patchcycle/patchcycle/store"
)

type enrolTokenInput struct{ Body wire.NewEnrolToken }

type devicesInput struct {
	State []patching.DeviceState `query:"state" doc:"pending, accepted, quarantined, revoked: any of these."`
}

type deviceInput struct {
	Device patching.DeviceID `path:"device"`
}

type revokeDeviceInput struct {
	Device patching.DeviceID `path:"device"`
	Body   wire.Because
}

type replaceDeviceInput struct {
	Device patching.DeviceID `path:"device"`
	Body   wire.DeviceReplaces
}

func (s *server) addEnrolment(api huma.API) {
	handle(s, api, about("enrolment", "list-enrol-tokens", http.MethodGet, "/enrol-tokens", "List the tokens that let machines enrol"), s.listEnrolTokens)
	op := about("enrolment", "make-enrol-token", http.MethodPost, "/enrol-tokens", "Make a token that lets machines enrol")
	op.Description = "The token is shown once and not kept."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, s.makeEnrolToken)
	handle(s, api, about("enrolment", "list-devices", http.MethodGet, "/devices", "List the enrolled keys"), s.listDevices)
	op = about("enrolment", "accept-device", http.MethodPost, "/devices/{device}/accept", "Accept an enrolled key")
	op.Description = "Compare its key with what the machine shows first."
	handle(s, api, op, func(ctx context.Context, in *deviceInput) (wire.Device, error) {
		return s.moveDevice(ctx, in.Device, patching.DeviceAccepted, "")
	})
	op = about("enrolment", "replace-device", http.MethodPost, "/devices/{device}/replace", "Accept a key in the place of another one")
	op.Description = "For a machine that was installed anew: the new device takes over the machine as it is known, with its owner, tags and history, and the old one is revoked. What the old one was told, the new one never does."
	handle(s, api, op, s.replaceDevice)
	op = about("enrolment", "revoke-device", http.MethodPost, "/devices/{device}/revoke", "Take a key out of use, for good")
	op.Description = "The machine has to enrol anew."
	handle(s, api, op, func(ctx context.Context, in *revokeDeviceInput) (wire.Device, error) {
		return s.moveDevice(ctx, in.Device, patching.DeviceRevoked, in.Body.Reason)
	})
}

func (s *server) listEnrolTokens(ctx context.Context, _ *struct{}) (wire.EnrolTokens, error) {
	out := wire.EnrolTokens{Items: []wire.EnrolToken{}}
	all, err := s.Store.EnrolTokens(ctx)
	who := account(ctx)
	for _, e := range all {
		if seesSite(who, e.Site) {
			out.Items = append(out.Items, enrolTokenShape(e))
		}
	}
	return out, err
}

func (s *server) makeEnrolToken(ctx context.Context, in *enrolTokenInput) (wire.EnrolToken, error) {
	who := account(ctx)
	switch {
	case !patching.ValidName(string(in.Body.Site)):
		return wire.EnrolToken{}, invalid("body.site", "%q cannot name a site: lower-case letters, digits, dots and dashes", in.Body.Site)
	case !who.CoversSite(in.Body.Site):
		return wire.EnrolToken{}, outsideSite(who, in.Body.Site)
	}
	token := newToken()
	e := store.EnrolToken{
		Hash: patching.DigestOf([]byte(token)), Site: in.Body.Site, Uses: in.Body.Uses, By: who.Name, AutoAccept: in.Body.AutoAccept,
		Expires: s.Now().UTC().Add(time.Duration(in.Body.Hours) * time.Hour),
	}
	words := fmt.Sprintf("token %s; uses %d; until %s; accepts by itself %t", e.Hash.Short(), e.Uses, e.Expires.Format(time.RFC3339), e.AutoAccept)
	if err := s.change(ctx, "make enrolment token", string(e.Site), words, func() error { return s.Store.PutEnrolToken(ctx, e) }); err != nil {
		return wire.EnrolToken{}, err
	}
	out := enrolTokenShape(e)
	out.Token = token
	return out, nil
}

// newToken returns 260 random bits in letters and digits. What is kept is its
// plain hash: nobody guesses it.
func newToken() string { return rand.Text() + rand.Text() }

func (s *server) listDevices(ctx context.Context, in *devicesInput) (wire.Devices, error) {
	out := wire.Devices{Items: []wire.Device{}}
	all, err := s.Store.Devices(ctx, in.State...)
	if err != nil {
		return out, err
	}
	who := account(ctx)
	var ids []patching.AssetID
	for _, d := range all {
		if seesSite(who, d.Site) {
			out.Items = append(out.Items, deviceShape(d))
			ids = append(ids, d.Asset)
		}
	}
	names, err := s.hostnames(ctx, ids)
	if err != nil {
		return out, err
	}
	same, err := s.sameMachines(ctx)
	for i := range out.Items {
		d := &out.Items[i]
		d.Hostname = names[d.Asset]
		if d.State != patching.DeviceRevoked {
			d.SameAs = same[d.Asset]
		}
	}
	return out, err
}

// sameMachines returns by asset the devices of others that may be the same machine.
func (s *server) sameMachines(ctx context.Context) (map[patching.AssetID][]patching.DeviceID, error) {
	assets, err := s.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return nil, err
	}
	devices, err := s.Store.Devices(ctx, patching.DevicePending, patching.DeviceAccepted, patching.DeviceQuarantined)
	if err != nil {
		return nil, err
	}
	of := map[patching.AssetID][]patching.DeviceID{}
	for _, d := range devices {
		of[d.Asset] = append(of[d.Asset], d.ID)
	}
	out := map[patching.AssetID][]patching.DeviceID{}
	for id, twins := range reconcile.Twins(assets) {
		for _, twin := range twins {
			out[id] = append(out[id], of[twin]...)
		}
	}
	return out, nil
}

// replaceDevice makes a device that of a machine which is known by another one.
func (s *server) replaceDevice(ctx context.Context, in *replaceDeviceInput) (wire.Device, error) {
	old, fresh := in.Body.Device, in.Device
	for _, id := range []patching.DeviceID{fresh, old} {
		d, err := s.Store.Device(ctx, id)
		if err != nil {
			return wire.Device{}, absent(aDevice, id, err)
		}
		if who := account(ctx); !who.CoversSite(d.Site) {
			return wire.Device{}, outsideSite(who, d.Site)
		}
	}
	words := "in the place of " + string(old) + ": " + in.Body.Reason
	err := s.change(ctx, "replace device", string(fresh), words, func() error { return s.Store.ReplaceDevice(ctx, old, fresh) })
	switch {
	case errors.Is(err, store.ErrFinal):
		return wire.Device{}, conflict(err.Error(), "patchcycle enrol list")
	case err != nil:
		return wire.Device{}, err
	}
	if s.DeviceChanged != nil {
		s.DeviceChanged(fresh)
	}
	d, err := s.Store.Device(ctx, fresh)
	if err == nil && s.Rescan != nil { // what the machine is now, it has said of another asset
		if err := s.Rescan.Rescan(ctx, d.Asset); err != nil {
			s.Logger.Warn("a machine could not be asked for an inventory", zap.String("asset", string(d.Asset)), zap.Error(err))
		}
	}
	return deviceShape(d), err
}

func (s *server) moveDevice(ctx context.Context, id patching.DeviceID, to patching.DeviceState, why string) (wire.Device, error) {
	d, err := s.Store.Device(ctx, id)
	if err != nil {
		return wire.Device{}, absent(aDevice, id, err)
	}
	if who := account(ctx); !who.CoversSite(d.Site) {
		return wire.Device{}, outsideSite(who, d.Site)
	}
	verb := map[patching.DeviceState]string{patching.DeviceAccepted: "accept device", patching.DeviceRevoked: "revoke device"}[to]
	err = s.change(ctx, verb, string(id), "of "+string(d.Asset)+" "+why, func() error { return s.Store.SetDeviceState(ctx, id, to) })
	if err != nil {
		return wire.Device{}, err
	}
	if s.DeviceChanged != nil {
		s.DeviceChanged(id)
	}
	d, err = s.Store.Device(ctx, id)
	return deviceShape(d), err
}

func enrolTokenShape(e store.EnrolToken) wire.EnrolToken {
	return wire.EnrolToken{Name: e.Hash.Short(), Site: e.Site, Uses: e.Uses, Expires: e.Expires, By: e.By, AutoAccept: e.AutoAccept}
}

func deviceShape(d patching.Device) wire.Device {
	return wire.Device{ID: d.ID, Asset: d.Asset, Site: d.Site, State: d.State, Key: patching.DigestOf(d.Key), Enrolled: d.Enrolled}
}
