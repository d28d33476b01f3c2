package main

import (
	"bytes"
	"text/template"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
)

// policyName is that of the measured policy.
const policyName = "bench"

// The windows are open and the soaks short, so that what is measured is work
// and not waiting; batches are as large as policies have them by default.
var policyText = template.Must(template.New("policy").Parse(`
policy: bench
title: The measured policy
owner: bench
approver: bench
valid_from: 2026-01-01
review_by: 2099-12-31
calendar: {nth: 2, weekday: tue, at: "09:00", zone: Europe/Amsterdam}
close_after: 12h
sites:
{{- range .}}
  - {name: {{.Name}}, zone: {{.Zone}}, windows: [open]}
{{- end}}
windows:
  - {name: open, rule: always}
rings:
  - name: test
    count: 10
    soak: 1s
    gate: {answered: 90, same: 3}
  - name: early
    percent: 10
    parallel: 8
    soak: 1s
    gate: {answered: 90, same: 3}
  - name: broad
    parallel: 8
    soak: 1s
    gate: {answered: 90, same: 3}
approval: {quorum: 1, remind: 1h, escalate: 2h, expire: 4h}
silence: 10m
fresh: 12h
`))

func renderPolicy(sites []truth.Site) ([]byte, error) {
	var b bytes.Buffer
	err := policyText.Execute(&b, sites)
	return b.Bytes(), err
}
