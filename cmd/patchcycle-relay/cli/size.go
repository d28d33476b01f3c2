package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching/phrase"
)

// size is a number of bytes on the command line: 20GB, 500MB, 64kB.
type size int64

var units = []struct {
	name  string
	bytes float64
}{{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}}

// Set implements [github.com/spf13/pflag.Value].
func (s *size) Set(text string) error {
	number, factor := text, 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(strings.ToLower(text), strings.ToLower(u.name)); ok {
			number, factor = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || n < 0 || n*factor >= 1<<62 || n != n {
		return fmt.Errorf("%q is no size: write 20GB, 500MB or 64kB", text)
	}
	*s = size(n * factor)
	return nil
}

// String implements [github.com/spf13/pflag.Value].
func (s *size) String() string {
	if *s == 0 {
		return "0"
	}
	return strings.NewReplacer(" ", "", ".0", "").Replace(phrase.Size(int64(*s)))
}

// Type implements [github.com/spf13/pflag.Value].
func (*size) Type() string { return "size" }
