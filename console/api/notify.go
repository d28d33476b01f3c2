package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/store"
)

// Notifier tells people what concerns them.
type Notifier interface {
	// Status returns who is told what, and whether that works; without messages.
	Status(ctx context.Context) (wire.Notify, error)
	// Test sends a message to a recipient now. One that is not there is
	// [store.ErrNotFound]; that it could not be sent is an answer, not an error.
	Test(ctx context.Context, recipient string) (wire.NotifyTest, error)
}

type notifyInput struct {
	Recipient string `query:"recipient" maxLength:"64" doc:"Messages to this one only."`
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"20"`
}

type recipientInput struct {
	Recipient string `path:"recipient" maxLength:"64"`
}

func (s *server) addNotify(api huma.API) {
	handle(s, api, about("notify", "list-notify", http.MethodGet, "/notify", "Show who is told what, and what was told lately"), s.listNotify)
	op := about("notify", "test-notify", http.MethodPost, "/notify/{recipient}/test", "Send a test message to a recipient")
	op.Description = "It is sent at once, and not tried again."
	handle(s, api, op, s.testNotify)
}

func (s *server) listNotify(ctx context.Context, in *notifyInput) (wire.Notify, error) {
	out := wire.Notify{Words: "This server tells nobody anything."}
	if s.Notify != nil {
		var err error
		if out, err = s.Notify.Status(ctx); err != nil {
			return out, err
		}
	}
	if out.Recipients == nil {
		out.Recipients = []wire.Recipient{}
	}
	out.Messages = []wire.Message{}
	sent, err := s.Store.Digests(ctx, store.DigestFilter{Recipient: in.Recipient, Limit: in.Limit})
	for i := range sent {
		out.Messages = append(out.Messages, messageShape(&sent[i]))
	}
	return out, err
}

func messageShape(o *store.Outgoing) wire.Message {
	return wire.Message{
		ID: string(o.ID), Recipient: o.Recipient, Lane: string(o.Lane), State: string(o.State), Made: o.Made, Ended: o.Ended, Next: o.Next,
		Notices: o.Total, Subject: o.Subject(), Text: o.Text(), Tries: o.Tries, Error: o.Words,
	}
}

func (s *server) testNotify(ctx context.Context, in *recipientInput) (out wire.NotifyTest, err error) {
	if s.Notify == nil {
		return wire.NotifyTest{Words: "This server tells nobody anything."}, nil
	}
	err = s.change(ctx, "test recipient", in.Recipient, "", func() error {
		out, err = s.Notify.Test(ctx, in.Recipient)
		return err
	})
	return out, absent(aRecipient, in.Recipient, err)
}
