package engine

import (
	"context"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/server/common/api"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/log/tag"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// claimMapper hands the authorization header on: it has no context to ask the
// accounts with. It must never set Claims.System, which is what tells the
// server's own calls, through its internal frontend, from everybody else's.
type claimMapper struct{}

// credential is a caller's authorization header.
type credential string

func (claimMapper) GetClaims(info *authorization.AuthInfo) (*authorization.Claims, error) {
	return &authorization.Claims{Extensions: credential(info.AuthToken)}, nil
}

// authorizer lets the gate's keeper decide.
type authorizer struct {
	keeper *gate.Keeper
	log    *serverLog
}

var byRole = authorization.NewDefaultAuthorizer()

func (a *authorizer) Authorize(ctx context.Context, c *authorization.Claims, t *authorization.CallTarget) (authorization.Result, error) {
	if c != nil && c.System != authorization.RoleUndefined {
		return byRole.Authorize(ctx, c, t)
	}
	var header credential
	if c != nil {
		header, _ = c.Extensions.(credential) // empty is a stranger's
	}
	v := a.keeper.Decide(ctx, string(header), call(t))
	if v.Err != nil {
		a.log.Error("a caller could not be recognised", tag.Error(v.Err))
	}
	if !v.Allowed {
		// As an error, since only its text is what CLI and UI show.
		return authorization.Result{}, serviceerror.NewPermissionDenied("refused: "+v.Reason, v.Reason)
	}
	return authorization.Result{
		Decision:  authorization.DecisionAllow,
		Principal: &commonpb.Principal{Type: v.Type, Name: v.Name},
	}, nil
}

// call translates with the server's own table of methods, so that a method of a
// newer server is closed until the table knows it.
func call(t *authorization.CallTarget) gate.Call {
	c := gate.Call{
		Method:    t.APIName,
		Open:      authorization.IsHealthCheckAPI(t.APIName),
		Namespace: t.Namespace,
		Request:   t.Request,
	}
	m := api.GetMethodMetadata(t.APIName)
	switch m.Scope {
	case api.ScopeNamespace:
		c.Scope = gate.ScopeNamespace
	case api.ScopeCluster:
		c.Scope = gate.ScopeCluster
	}
	switch m.Access {
	case api.AccessReadOnly:
		c.Access = gate.AccessRead
	case api.AccessWrite:
		c.Access = gate.AccessWrite
	case api.AccessAdmin:
		c.Access = gate.AccessAdmin
	}
	return c
}
