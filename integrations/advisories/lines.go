package advisories

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxLine is how long a line may be: a hundred times the longest that a feed has.
const maxLine = 64 << 10

// errUnended is the one sign that a text of lines was cut off, if it was not cut off
// behind a line.
var errUnended = errors.New("the last line has no end: the file was cut off")

// eachLine calls found for each line that is not blank, with its number, which is 1
// for the first. The line has no white space behind it and is valid until found returns.
// Errors name the line.
func eachLine(in io.Reader, found func(n int, line []byte) error) error {
	r := bufio.NewReaderSize(in, maxLine)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("line %d: %w", n, errUnended)
		case errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("line %d: it is longer than %d bytes", n, maxLine)
		case err != nil:
			return err
		}
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if line = bytes.TrimRight(line, " \t\r\n"); len(line) == 0 {
			continue
		}
		if err := found(n, line); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}
