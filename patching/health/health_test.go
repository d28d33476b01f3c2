package health_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching/health"
)

// Serves Q2, G13.
func TestAMachineIsWorseIfSomethingWorkedBeforeAndDoesNotNow(t *testing.T) {
	before := health.State{Failing: []string{"backup.service"}, Running: []string{"ssh.service", "nginx.service", "user@1000.service"}}
	for _, c := range []struct {
		name  string
		after health.State
		worse []string
	}{
		{"nothing changed", before, nil},
		{"a unit fails that did not", health.State{Failing: []string{"nginx.service", "backup.service"}, Running: []string{"ssh.service"}}, []string{"nginx.service fails"}},
		{"a service is gone without a failure", health.State{Failing: []string{"backup.service"}, Running: []string{"nginx.service"}}, []string{"ssh.service ran before and does not run now"}},
		{"a service runs that was broken", health.State{Running: []string{"backup.service", "nginx.service", "ssh.service"}}, nil},
		{"all is named, in order", health.State{Failing: []string{"z.service", "a.service", "z.service"}}, []string{
			"a.service fails", "z.service fails", "nginx.service ran before and does not run now", "ssh.service ran before and does not run now",
		}},
		{"somebody logged out with the restart", health.State{Failing: []string{"backup.service"}, Running: []string{"nginx.service", "ssh.service"}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.worse, health.Compare(before, c.after)) })
	}
}

func TestLoadAndMemoryAreToldButNeverCountAsWorse(t *testing.T) {
	before := health.State{Load: 0.4, Memory: 0.5}
	after := health.State{Load: 1.2, Memory: 0.9}
	assert.Empty(t, health.Compare(before, after))
	assert.Equal(t, []string{"The load went from 0.4 to 1.2 for each processor.", "Memory in use went from 50 % to 90 %."}, health.Notes(before, after))
	assert.Empty(t, health.Notes(health.State{Load: 0.1, Memory: 0.2}, health.State{Load: 0.4, Memory: 0.45}), "too little to notice")
	assert.Empty(t, health.Notes(health.State{}, after), "unknown before")
}
