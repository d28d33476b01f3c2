// Package api is the REST API: what people and their programs ask of patchcycle
// and tell it. It authenticates by bearer token, allows by one table (access.go),
// puts every act on record before it is done, and answers in words.
package api

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// Options are the API's parts. Store and Starter are required.
type Options struct {
	Store   Store
	Starter Starter
	// Feeds are those of advisories; nil: the server keeps none.
	Feeds Feeds
	// Backups are those of machines; nil: nobody watches them.
	Backups Backups
	// Rescan asks a machine for a fresh inventory; nil leaves it to the next one
	// that comes by itself.
	Rescan Rescanner
	// DeviceChanged hears of a device that was accepted or revoked; nil: nobody.
	DeviceChanged func(patching.DeviceID)
	// Checks are what the doctor asks besides what the API knows itself: the
	// engine, the uplink. Each gets a few seconds.
	Checks []func(context.Context) wire.Check
	// Urgent says how urgent things are. Required.
	Urgent Urgent
	// ReadAdvisories reads a document of advisories that people enter; required to take
	// one. Its error names all that is wrong, a line each.
	ReadAdvisories func(text []byte) ([]patching.Advisory, error)
	// HoldChanged hears that machines were held, or let go on; nil: nobody.
	HoldChanged func(context.Context) error
	// Trust is the trust root in force; nil: the server has none.
	Trust Trust
	// Login returns a link by which the holder of the token enters Temporal's web
	// pages, once; nil: there are none.
	Login func(ctx context.Context, token string) (url string, err error)
	// Notify tells people what concerns them; nil: nothing is told.
	Notify Notifier
	// Version is the program's.
	Version string
	// Now is the clock [time.Now].
	Now    func() time.Time
	Logger *zap.Logger
}

// Limits of one request.
const (
	maxBody    = 64 << 10
	maxPolicy  = 1<<20 + 1 // one more than package policy takes: it says so in words
	answerIn   = 30 * time.Second
	maxPage    = 1000
	watchAtMax = 50 * time.Second // below what proxies take for a dead connection
)

// server answers. All it knows stands in the store.
type server struct {
	Options
	rules    map[string]rule
	sizes    sizes
	watching atomic.Int32
}

// New returns the API, with its description at /openapi.json.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	s := &server{Options: o, rules: rules()}
	mux := http.NewServeMux()
	s.register(mux)
	mux.HandleFunc("/", s.nowhere)
	return mux
}

// Describe returns the OpenAPI document of the API.
func Describe() ([]byte, error) {
	s := &server{rules: rules()}
	return s.register(http.NewServeMux()).OpenAPI().MarshalJSON()
}

// register adds all operations to the mux.
func (s *server) register(mux *http.ServeMux) huma.API {
	config := huma.DefaultConfig("patchcycle", "v1")
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil // no page that loads scripts from elsewhere
	config.RejectUnknownQueryParameters = true                            // a filter that is spelt wrong must not show everything
	config.Info.Description = "People and their programs ask and steer patchcycle here. " +
		"Every request carries a bearer token of an account; errors are problems of RFC 9457 with a way out. " +
		"The URL of a cycle is " + wire.Root + "/cycles/ and its id."
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"token": {Type: "http", Scheme: "bearer"}}
	config.Transformers = []huma.Transformer{asProblem}
	api := humago.New(mux, config)
	api.UseMiddleware(s.limit, s.admit)
	s.addServer(api)
	s.addPolicies(api)
	s.addSchedules(api)
	s.addAssets(api)
	s.addImports(api)
	s.addEnrolment(api)
	s.addCycles(api)
	s.addPlans(api)
	s.addStarts(api)
	s.addVerbs(api)
	s.addTasks(api)
	s.addReviews(api)
	s.addExceptions(api)
	s.addWorkArounds(api)
	s.addHandAdvisories(api)
	s.addFeeds(api)
	s.addBackups(api)
	s.addAccounts(api)
	s.addAudit(api)
	s.addNotify(api)
	s.addTrust(api)
	s.addHold(api)
	// The framework describes its own errors whether they are used or not.
	for _, unused := range []string{"ErrorModel", "ErrorDetail"} {
		delete(config.Components.Schemas.Map(), unused)
	}
	return api
}

// answer is what a handler returns as JSON.
type answer[T any] struct{ Body T }

// about describes an operation: its id, which is also its row in the table of
// access.go, where it stands, and a sentence.
func about(tag, id, method, path, summary string) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: wire.Root + path, Summary: summary, Tags: []string{tag},
		Security: []map[string][]string{{"token": {}}}, MaxBodyBytes: maxBody,
	}
}

// handle registers an operation. Its errors become problems.
func handle[I, O any](s *server, api huma.API, op huma.Operation, do func(context.Context, *I) (O, error)) {
	op.Responses = map[string]*huma.Response{"default": s.problems(api)}
	huma.Register(api, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.explain(ctx, op.OperationID, err)
		}
		return &answer[O]{Body: out}, nil
	})
}

// problems describes the errors of every operation.
func (s *server) problems(api huma.API) *huma.Response {
	return &huma.Response{
		Description: "What went wrong, and the way out.",
		Content: map[string]*huma.MediaType{"application/problem+json": {
			Schema: api.OpenAPI().Components.Schemas.Schema(problemType, true, "Problem"),
		}},
	}
}

// nowhere answers what no operation takes.
func (s *server) nowhere(w http.ResponseWriter, r *http.Request) {
	write(w, &wire.Problem{
		Status: http.StatusNotFound, Code: wire.CodeNotFound,
		Detail: "There is nothing at " + r.Method + " " + r.URL.Path + ".",
		WayOut: "See /openapi.json for what there is.",
	})
}
