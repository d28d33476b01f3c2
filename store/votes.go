package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Request is what a person asked for through our API, which authenticated them.
// A workflow's update names the request; who sent it stands here.
type Request struct {
	ID      string
	Account patching.AccountName
	Verb    string
	Cycle   patching.CycleID
	Plan    patching.Digest
	Body    string
	Reason  string
	At      time.Time
}

// DecisionRow is a gate's decision with the inputs to run it again.
type DecisionRow struct {
	Cycle patching.CycleID
	// Subject is the ring or wave that the gate stood before.
	Subject  string
	Decision patching.Decision
	// ParamsText and TallyText are what Decision.Params and Decision.Tally address.
	ParamsText []byte
	TallyText  []byte
}

const (
	requestColumns  = "id, account, verb, cycle, plan, body, reason, at"
	approvalColumns = "cycle, plan, account, verdict, reason, via, at, refused, key, paper"
)

// PutRequest keeps a request. Keeping one of that id again changes nothing.
func (s *Store) PutRequest(ctx context.Context, r Request) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO requests ("+requestColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			r.ID, string(r.Account), r.Verb, string(r.Cycle), string(r.Plan), r.Body, r.Reason, micros(r.At))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep request %s: %w", r.ID, err)
	}
	return nil
}

// Request returns a request by its id.
func (s *Store) Request(ctx context.Context, id string) (Request, error) {
	r, err := one(ctx, s.reader(), scanRequest, "SELECT "+requestColumns+" FROM requests WHERE id = ?", id)
	if err != nil {
		return r, fmt.Errorf("request %s: %w", id, err)
	}
	return r, nil
}

// Requests returns what people asked for of a cycle, oldest first.
func (s *Store) Requests(ctx context.Context, c patching.CycleID) ([]Request, error) {
	out, err := all(ctx, s.reader(), scanRequest, "SELECT "+requestColumns+" FROM requests WHERE cycle = ? ORDER BY at, id", string(c))
	if err != nil {
		return nil, fmt.Errorf("list the requests of %s: %w", c, err)
	}
	return out, nil
}

// AddApproval appends a vote. The same vote again (a retried activity) changes nothing.
func (s *Store) AddApproval(ctx context.Context, a patching.Approval) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO approvals ("+approvalColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (cycle, plan, account, verdict, via, at) DO NOTHING`,
			string(a.Cycle), string(a.Plan), string(a.Account), string(a.Verdict), a.Reason, a.Via, micros(a.At), a.Refused, a.Key, string(a.Paper))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the vote of %s on %s: %w", a.Account, a.Cycle, err)
	}
	return nil
}

// Approvals returns all votes on a cycle, oldest first, those that do not count too.
func (s *Store) Approvals(ctx context.Context, c patching.CycleID) ([]patching.Approval, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (patching.Approval, error) {
		var a patching.Approval
		err := row.Scan(&a.Cycle, &a.Plan, &a.Account, &a.Verdict, &a.Reason, &a.Via, instant{&a.At}, &a.Refused, &a.Key, &a.Paper)
		return a, err
	}, "SELECT "+approvalColumns+" FROM approvals WHERE cycle = ? ORDER BY at, id", string(c))
	if err != nil {
		return nil, fmt.Errorf("list the votes on %s: %w", c, err)
	}
	return out, nil
}

// AddDecision appends a gate's decision with its inputs. The same decision
// again changes nothing. Inputs that are not what the decision says it saw are
// refused: nobody could run it again.
func (s *Store) AddDecision(ctx context.Context, r DecisionRow) error {
	d := r.Decision
	if patching.DigestOf(r.ParamsText) != d.Params || patching.DigestOf(r.TallyText) != d.Tally {
		return fmt.Errorf("decision of %s on %s: the inputs are not those that its digests name", d.Gate, r.Subject)
	}
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		err := t.putContent(ctx, [][]any{
			{string(d.Params), "gate parameters", blob(r.ParamsText)}, {string(d.Tally), "tally", blob(r.TallyText)},
		})
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO decisions (cycle, subject, verb, until, why, gate, params, tally, at)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cycle, subject, tally, verb, at) DO NOTHING`,
			string(r.Cycle), r.Subject, string(d.Verb), micros(d.Until), d.Why, d.Gate, string(d.Params), string(d.Tally), micros(d.At))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the decision of %s on %s: %w", d.Gate, r.Subject, err)
	}
	return nil
}

// Decisions returns the gates' decisions of a cycle with their inputs, oldest first.
func (s *Store) Decisions(ctx context.Context, c patching.CycleID) ([]DecisionRow, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (DecisionRow, error) {
		var r DecisionRow
		d := &r.Decision
		err := row.Scan(&r.Cycle, &r.Subject, &d.Verb, instant{&d.Until}, &d.Why, &d.Gate, &d.Params, &d.Tally, instant{&d.At},
			&r.ParamsText, &r.TallyText)
		return r, err
	}, `SELECT d.cycle, d.subject, d.verb, d.until, d.why, d.gate, d.params, d.tally, d.at, p.body, t.body
		FROM decisions d JOIN content p ON p.digest = d.params JOIN content t ON t.digest = d.tally
		WHERE d.cycle = ? ORDER BY d.at, d.id`, string(c))
	if err != nil {
		return nil, fmt.Errorf("list the decisions of %s: %w", c, err)
	}
	return out, nil
}

func scanRequest(row scanner) (Request, error) {
	var r Request
	err := row.Scan(&r.ID, &r.Account, &r.Verb, &r.Cycle, &r.Plan, &r.Body, &r.Reason, instant{&r.At})
	return r, err
}
