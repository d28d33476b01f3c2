package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
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
	for i := range out.Items {
		out.Items[i].Hostname = names[out.Items[i].Asset]
	}
	return out, err
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
