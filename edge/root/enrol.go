package root

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Enrol implements [uplink.Link]: it takes a machine in. The identity is the key, which was made on the
// machine; the token says where it belongs and who let it in.
func (s *Server) Enrol(ctx context.Context, r uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	if !s.enrols.Allow() {
		return uplink.EnrolResponse{}, busy()
	}
	if err := r.Verify(); err != nil {
		return uplink.EnrolResponse{}, &uplink.Error{Status: http.StatusBadRequest, Words: err.Error()}
	}
	id, err := newID()
	if err != nil {
		return uplink.EnrolResponse{}, err
	}
	a := r.Facts.Asset()
	a.ID = patching.AssetID("a-" + id)
	d := patching.Device{ID: patching.DeviceID("d-" + id), Asset: a.ID, Key: r.Key}
	d, err = s.opts.Store.Enrol(ctx, uplink.TokenHash(r.Token), s.opts.Now(), d, a)
	if err != nil {
		var refusal *uplink.Error
		if errors.As(err, &refusal) {
			s.log.Warn("enrolment refused", zap.String("hostname", r.Facts.Hostname), zap.String("why", refusal.Words))
		}
		return uplink.EnrolResponse{}, err
	}
	if d.State == patching.DeviceRevoked || d.State == patching.DeviceQuarantined {
		return uplink.EnrolResponse{}, &uplink.Error{
			Status: http.StatusForbidden,
			Words:  fmt.Sprintf("this key is %s and stays so; remove it from the machine and enrol with a new one", d.State),
		}
	}
	s.registry.set(d)
	s.log.Info("enrolled", zap.String("device", string(d.ID)), zap.String("hostname", r.Facts.Hostname), zap.String("state", string(d.State)))
	return uplink.EnrolResponse{Device: d.ID, State: d.State, Root: s.opts.Authority.Authority().Envelope}, nil
}

// newID is random: ids are never reused and tell nothing.
func newID() (string, error) {
	var b [10]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}
