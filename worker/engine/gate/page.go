package gate

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"
)

type pageText struct {
	Title string // heading
	Lead  string // what happened
	More  string // what to do
	Next  string // where the page moves on to by itself; empty stays
	Link  string // words of the link to Next
}

var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · patchcycle</title>
{{if .Next}}<meta http-equiv="refresh" content="0; url={{.Next}}">
{{end}}<style>
body { font: 1rem/1.5 system-ui, sans-serif; color: #1b2733; background: #f4f6f8; margin: 0; }
main { max-width: 34rem; margin: 15vh auto; padding: 2rem; background: #fff; border: 1px solid #d5dce3; border-radius: .5rem; }
h1 { font-size: 1.3rem; margin: 0 0 .75rem; }
p { margin: .5rem 0; }
@media (prefers-color-scheme: dark) {
  body { color: #e3e9ef; background: #12181f; }
  main { background: #1b242e; border-color: #33414f; }
  a { color: #8ec7ff; }
}
</style>
</head>
<body><main>
<h1>{{.Title}}</h1>
<p>{{.Lead}}</p>
{{if .More}}<p>{{.More}}</p>
{{end}}{{if .Next}}<p><a href="{{.Next}}">{{.Link}}</a></p>
{{end}}</main></body>
</html>
`))

func page(w http.ResponseWriter, status int, text pageText) {
	var body bytes.Buffer
	if err := pageTemplate.Execute(&body, text); err != nil {
		http.Error(w, text.Lead, status)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer") // the address holds a code
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the reader is gone if this fails
}

// apiError answers in the shape in which the UI expects errors of the engine.
func apiError(w http.ResponseWriter, status int, message string) {
	body, err := json.Marshal(map[string]any{"code": 16, "message": message}) // 16: Unauthenticated
	if err != nil {
		http.Error(w, message, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the reader is gone if this fails
}
