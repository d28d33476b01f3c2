package plainyaml

import (
	"bytes"
	"testing"
)

// What people write into YAML is read or refused; nothing of it ends the process.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("a: 1\nb: [x, \"y\"]\nc:\n  - d: |\n      text\n"))
	f.Add([]byte("a: &x [1]\nb: *x\n"))
	f.Add([]byte("? a\n: - - -\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		var free any
		_ = Decode(bytes.NewReader(text), &free)
		var typed struct {
			A Word            `yaml:"a"`
			B []Word          `yaml:"b"`
			C map[string]Word `yaml:"c"`
		}
		_ = Decode(bytes.NewReader(text), &typed)
	})
}
