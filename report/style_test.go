package report_test

import (
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var variable = regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`)

// Text wants a contrast of 4.5 to its ground, what is drawn one of 3 (WCAG 2.2,
// 1.4.3 and 1.4.11).
func TestColoursCanBeToldApartInBothSchemes(t *testing.T) {
	style, err := os.ReadFile("style.css")
	require.NoError(t, err)
	light, dark, found := strings.Cut(string(style), "prefers-color-scheme: dark")
	require.True(t, found)
	dark, _, _ = strings.Cut(dark, "box-sizing")
	for name, text := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]string{}
		for _, m := range variable.FindAllStringSubmatch(text, -1) {
			colour[m[1]] = m[2]
		}
		for _, pair := range [][2]string{
			{"ink", "paper"},
			{"ink", "ground"},
			{"muted", "paper"},
			{"muted", "ground"},
			{"link", "paper"},
			{"link", "ground"},
			{"good", "good-ground"},
			{"warn", "warn-ground"},
			{"bad", "bad-ground"},
			{"back", "back-ground"},
			{"calm", "calm-ground"},
			{"news", "news-ground"},
		} {
			require.NotEmpty(t, colour[pair[0]], "%s: %s", name, pair[0])
			require.NotEmpty(t, colour[pair[1]], "%s: %s", name, pair[1])
			assert.GreaterOrEqual(t, contrast(t, colour[pair[0]], colour[pair[1]]), 4.5, "%s: %s on %s", name, pair[0], pair[1])
		}
		for _, drawn := range []string{"patched", "deferred", "failed", "rolled-back", "needs-hands", "unreachable"} {
			require.NotEmpty(t, colour["o-"+drawn], drawn)
			assert.GreaterOrEqual(t, contrast(t, colour["o-"+drawn], colour["paper"]), 3.0, "%s: %s", name, drawn)
		}
	}
}

func TestLongTextsKeepAWidthThatCanBeReadOnASmallScreen(t *testing.T) {
	style, err := os.ReadFile("style.css")
	require.NoError(t, err)
	_, small, found := strings.Cut(string(style), "@media screen and (max-width: 44rem)")
	require.True(t, found)
	small, _, _ = strings.Cut(small, "@page")
	assert.Contains(t, small, ".wide .said { min-width: ")
	page, err := os.ReadFile("testdata/with-exceptions.html")
	require.NoError(t, err)
	for _, section := range []string{"exceptions", "left-out", "tasks"} {
		_, text, found := strings.Cut(string(page), `<section id="`+section+`"`)
		require.True(t, found, section)
		text, _, _ = strings.Cut(text, "</section>")
		assert.Contains(t, text, `<td class="said">`, section)
		assert.Contains(t, text, `<div class="scroll"`, section)
	}
}

func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := luminance(t, a), luminance(t, b)
	return (math.Max(x, y) + 0.05) / (math.Min(x, y) + 0.05)
}

func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[1+2*i:3+2*i], 16, 8)
		require.NoError(t, err)
		c := float64(n) / 255
		if c <= 0.03928 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
