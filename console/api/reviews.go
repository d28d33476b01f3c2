package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type addReviewInput struct {
	Keyed
	Body wire.NewReview
}

func (s *server) addReviews(api huma.API) {
	handle(s, api, about("decisions", "list-reviews", http.MethodGet, "/urgency-reviews", "List what was decided about urgency"), s.listReviews)
	handle(s, api, about("decisions", "list-waiting", http.MethodGet, "/urgency-reviews/waiting", "List what waits for somebody to say how urgent it is"), s.listWaiting)
	op := about("decisions", "add-review", http.MethodPost, "/urgency-reviews", "Decide how urgent something is")
	op.Description = "By a security lead; a risk is accepted by one who is no author of policies. Of reviews of the very same subject the newest counts."
	op.DefaultStatus = http.StatusCreated
	handle(s, api, op, s.addReview)
	handle(s, api, about("decisions", "end-review", http.MethodPost, "/urgency-reviews/{decision}/end", "End a review of urgency before its date"), s.endReview)
}

func (s *server) listReviews(ctx context.Context, in *decisionsInput) (wire.Reviews, error) {
	out, now := wire.Reviews{Items: []wire.Review{}}, s.Now()
	all, err := s.Store.Reviews(ctx, since(in.All, now))
	for _, r := range inOrder(all, func(r patching.Review) patching.Term { return r.Term }, in.All, now) {
		out.Items = append(out.Items, reviewShape(r, now))
	}
	return out, err
}

// since is how long a decision has to hold to be listed.
func since(all bool, now time.Time) time.Time {
	if all {
		return time.Time{}
	}
	return now
}

func (s *server) addReview(ctx context.Context, in *addReviewInput) (wire.ReviewAnswer, error) {
	id := decisionID(ctx, "review", in.Key)
	r := patching.Review{Term: s.term(ctx, id, in.Body.Until, in.Body.Reason), Subject: subject(in.Body.Subject), Answer: in.Body.Answer}
	is, err := s.Store.Review(ctx, id)
	switch {
	case err == nil: // sent again
		r.At = is.At
		return s.reviewAnswer(is, "It is on record already."), s.Store.PutReview(ctx, r)
	case !errors.Is(err, store.ErrNotFound):
		return wire.ReviewAnswer{}, err
	}
	if err := r.Check(); err != nil {
		return wire.ReviewAnswer{}, misfits(err)
	}
	if words := account(ctx).MayAcceptRisk(); r.Answer.AcceptsRisk() && words != "" {
		return wire.ReviewAnswer{}, notAllowed(words)
	}
	about, err := s.takes(ctx, r.Subject)
	if err != nil {
		return wire.ReviewAnswer{}, err
	}
	said := fmt.Sprintf("%s for %s; until %s; reason %q", r.Answer.Words(), r.Words(), r.Until.Format(time.DateOnly), r.Reason)
	if err := s.change(ctx, "review urgency", string(id), said, func() error { return s.Store.PutReview(ctx, r) }); err != nil {
		return wire.ReviewAnswer{}, err
	}
	words := about.words()
	if r.Answer == patching.AnswerWorkAround {
		words += " It counts on machines where a work-around is in place: patchcycle workaround add."
	}
	answer := s.reviewAnswer(r, words)
	answer.Warning = s.Urgent.Doubt(ctx, r.Subject)
	return answer, nil
}

func (s *server) endReview(ctx context.Context, in *endInput) (wire.ReviewAnswer, error) {
	r, err := s.Store.Review(ctx, in.Decision)
	if err != nil {
		return wire.ReviewAnswer{}, absent(aReview, in.Decision, err)
	}
	// Without it more time is left than with it.
	if words := account(ctx).MayAcceptRisk(); !r.Answer.AcceptsRisk() && words != "" {
		return wire.ReviewAnswer{}, notAllowed(words)
	}
	r.Ended, err = s.ends(ctx, r.Term, in.Body.Reason)
	if err != nil {
		return wire.ReviewAnswer{}, err
	}
	err = s.change(ctx, "end review", string(r.ID), in.Body.Reason, func() error { return s.Store.EndDecision(ctx, r.Ended) })
	if err != nil {
		return wire.ReviewAnswer{}, err
	}
	return s.reviewAnswer(r, "What the regimes say counts again, unless another decision holds."), nil
}

func (s *server) reviewAnswer(r patching.Review, words string) wire.ReviewAnswer {
	return wire.ReviewAnswer{Review: reviewShape(r, s.Now()), Words: words}
}

func reviewShape(r patching.Review, now time.Time) wire.Review {
	return wire.Review{Term: termShape(r.Term, now), Subject: subjectShape(r.Subject), Answer: r.Answer, Words: r.Answer.Words()}
}
