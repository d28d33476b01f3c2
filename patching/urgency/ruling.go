package urgency

import (
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Ruling is a person's decision as it is shown beside what it is about.
type Ruling struct {
	ID patching.DecisionID
	// Answer is a review's; empty: it is an exception.
	Answer patching.Answer
	By     patching.AccountName
	Role   patching.Role
	// Owner and Measure are an exception's.
	Owner, Measure string
	Reason         string
	At, Until      time.Time
	// ReviewBy is when somebody has to look at it again; zero: at its end.
	ReviewBy time.Time
}

// Idle is a decision that counts for nothing.
type Idle struct {
	Ruling
	Why string // a sentence
}

// Words are the decision as people read it, with who made it, until when, and why.
func (r Ruling) Words() string {
	if r.Answer == "" {
		words := fmt.Sprintf("Exception until %s, owner %s, by %s (%s): %s", day(r.Until), r.Owner, r.By, r.Role, ended(r.Reason))
		if r.Measure != "" {
			words += " Instead: " + ended(r.Measure)
		}
		return words
	}
	return fmt.Sprintf("Decided by %s (%s) until %s: %s: %s", r.By, r.Role, day(r.Until), r.Answer.Words(), ended(r.Reason))
}

// Short says in a few words whose decision it is and until when: "an exception of radiology
// until 2027-06-30".
func (r Ruling) Short() string {
	if r.Answer == "" {
		return fmt.Sprintf("an exception of %s until %s", r.Owner, day(r.Until))
	}
	return fmt.Sprintf("%s, says %s until %s", r.Answer.Words(), r.By, day(r.Until))
}

// ended ends a person's words as a sentence.
func ended(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func ofReview(r patching.Review) Ruling {
	return Ruling{ID: r.ID, Answer: r.Answer, By: r.By, Role: r.Role, Reason: r.Reason, At: r.At, Until: r.Until}
}

// OfException is an exception as it is shown beside what it is about.
func OfException(e patching.Exception) Ruling {
	return Ruling{
		ID: e.ID, By: e.By, Role: e.Role, Owner: e.Owner, Measure: e.Measure, Reason: e.Reason,
		At: e.At, Until: e.Until, ReviewBy: e.ReviewBy,
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
