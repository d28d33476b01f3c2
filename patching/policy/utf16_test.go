package policy_test

import (
	"encoding/binary"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/policy"
)

// Serves Q7.
func TestUTF16IsRecognisedAndToldOnce(t *testing.T) {
	text, err := policy.Example("demo")
	require.NoError(t, err)
	letters := utf16.Encode([]rune(string(text)))
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		for _, mark := range []bool{true, false} {
			var file []byte
			if mark {
				file = order.AppendUint16(file, 0xFEFF)
			}
			for _, l := range letters {
				file = order.AppendUint16(file, l)
			}
			_, err := policy.Parse("demo.yaml", file)
			var bad *policy.Problems
			require.ErrorAs(t, err, &bad, "%s, %t", name, mark)
			require.Len(t, bad.Problems(), 1, "%s, %t", name, mark)
			assert.Equal(t, "demo.yaml: error: this is UTF-16\n      = save the file as UTF-8\n", bad.Problems()[0].String())
		}
	}
	_, err = policy.Parse("demo.yaml", append([]byte("\uFEFF"), text...))
	assert.NoError(t, err, "UTF-8 may have a mark")
}
