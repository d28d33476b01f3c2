package blobs

import (
	"io"
	"net/http"
	"time"
)

// slowest is how slowly a machine may read, in bytes a second.
const slowest = 8 << 10

// Serve sends a file that was opened, or the ranges of it that are asked for, with
// the time that HTTP tells. Who reads slower than 8 kB a second is cut off, and can
// ask for the rest.
func Serve(w http.ResponseWriter, r *http.Request, f io.ReadSeeker, file File, at time.Time) {
	// Not every ResponseWriter has deadlines; a real connection does.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute + time.Duration(file.Size/slowest)*time.Second))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("ETag", `"`+file.SHA256+`"`)
	http.ServeContent(w, r, "", at, f)
}
