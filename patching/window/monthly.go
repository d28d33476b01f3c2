package window

import (
	"fmt"
	"time"
)

// Monthly is a moment of every month: the n-th weekday, some days after it, at
// a time of day in a zone. "The second Tuesday and two days" is not the second
// Thursday, which comes a week early in months that begin on a Wednesday or a
// Thursday.
type Monthly struct {
	Nth          int // 1 to 4
	Weekday      time.Weekday
	Plus         int // days, 0 to 14
	Hour, Minute int
	Zone         string // IANA name
}

// CalendarSpec is the same moment as a calendar of Temporal's schedules, which
// fires on days that are in the range and on the weekday, both. (Cron takes
// either.)
type CalendarSpec struct {
	FromDay, ToDay int // days of the month, both included
	Weekday        time.Weekday
	Hour, Minute   int
	Zone           string
}

// Validate says what is wrong. The days have to stay inside the month: a
// calendar cannot say "the fourth Tuesday and five days", for in some months
// that is a day of the next.
func (m Monthly) Validate() error {
	switch {
	case m.Nth < 1 || m.Nth > 4:
		return fmt.Errorf("the %d. %s is not in every month: take 1 to 4", m.Nth, m.Weekday)
	case m.Plus < 0 || m.Plus > 14:
		return fmt.Errorf("%d days after it: take 0 to 14", m.Plus)
	case 7*m.Nth+m.Plus > 28:
		return fmt.Errorf("the %s %s and %d days is in some months a day of the next: take %d days at most",
			ordinals[m.Nth-1], m.Weekday, m.Plus, 28-7*m.Nth)
	case m.Hour < 0 || m.Hour > 23 || m.Minute < 0 || m.Minute > 59:
		return fmt.Errorf("%02d:%02d is not a time of day", m.Hour, m.Minute)
	}
	_, err := Zone(m.Zone)
	return err
}

// Start returns the moment in a month; its errors are those of [Monthly.Validate].
func (m Monthly) Start(year int, month time.Month) (time.Time, error) {
	if err := m.Validate(); err != nil {
		return time.Time{}, err
	}
	loc, err := Zone(m.Zone)
	if err != nil {
		return time.Time{}, err
	}
	return wall(year, month, m.day(year, month), m.Hour, m.Minute, loc), nil
}

// day is the day of the month, by arithmetic on days.
func (m Monthly) day(year int, month time.Month) int {
	first := time.Date(year, month, 1, 0, 0, 0, 0, time.UTC).Weekday()
	return 1 + (int(m.Weekday)-int(first)+7)%7 + 7*(m.Nth-1) + m.Plus
}

// Next returns the first such moment after the given instant.
func (m Monthly) Next(after time.Time) (time.Time, error) {
	loc, err := Zone(m.Zone)
	if err != nil {
		return time.Time{}, err
	}
	year, month, _ := after.In(loc).Date()
	for {
		t, err := m.Start(year, month)
		if err != nil || t.After(after) {
			return t, err
		}
		if month++; month > time.December {
			year, month = year+1, time.January
		}
	}
}

// Exists reports whether the clocks of the zone show the moment's time of day
// in that month. Where they jump over it, Start moves it forward, but
// Temporal's calendar skips the month.
func (m Monthly) Exists(year int, month time.Month) (bool, error) {
	t, err := m.Start(year, month)
	return err == nil && t.Hour() == m.Hour && t.Minute() == m.Minute, err
}

// Spec returns the moment as a calendar: N days after the n-th weekday W fall
// on days 7(n-1)+1+N to 7n+N, on the weekday N days after W.
func (m Monthly) Spec() CalendarSpec {
	return CalendarSpec{
		FromDay: 7*(m.Nth-1) + 1 + m.Plus,
		ToDay:   7*m.Nth + m.Plus,
		Weekday: (m.Weekday + time.Weekday(m.Plus)) % 7,
		Hour:    m.Hour,
		Minute:  m.Minute,
		Zone:    m.Zone,
	}
}
