package oauth

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

// A page that tells a person why they can't go on. It runs nothing, loads nothing, and can be framed by nobody.
const notice = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Sign-in stopped</title>
<style>` + noticeStyle + `</style></head>
<body><main><h1>Sign-in stopped</h1><p>{{.Why}}</p><p><small>{{.Code}}</small></p>{{if .Back}}<p><a href="{{.Back}}">Go to the sign-in page</a></p>{{end}}</main></body></html>
`

const noticeStyle = `:root{color-scheme:light dark}body{margin:0;font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}main{max-width:32rem;margin:12vh auto;padding:0 1.5rem}h1{font-size:1.4rem}small{opacity:.7}`

var (
	noticePage   = template.Must(template.New("notice").Parse(notice))
	noticePolicy = func() string {
		sum := sha256.Sum256([]byte(noticeStyle))
		return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
	}()
)

// say tells a person why, and where to go back to; plain text where the client reads no HTML.
func say(w http.ResponseWriter, r *http.Request, status int, code, why, back string) {
	h := w.Header()
	h.Set("Content-Security-Policy", noticePolicy)
	h.Del("Content-Length")
	if !browser(r) {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(code + ": " + why + "\n")) // the client is gone if this fails
		return
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = noticePage.Execute(w, map[string]string{"Code": code, "Why": why, "Back": back}) // the client is gone if this fails
}

// browser reports whether a request is one of a person's browser that shows a page.
func browser(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// told has what is refused told to people as a page, and to programs as it is.
func told(back string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !browser(r) {
			next.ServeHTTP(w, r)
			return
		}
		held := &refusal{ResponseWriter: w}
		next.ServeHTTP(held, r)
		if held.status == 0 {
			return
		}
		var was struct {
			Code string `json:"error"`
			Why  string `json:"error_description"`
		}
		if json.Unmarshal(held.body.Bytes(), &was) != nil || was.Code == "" {
			was.Code = "invalid_request"
		}
		if was.Why == "" {
			was.Why = "the program that sent you here asked for something that can't be given"
		}
		say(w, r, held.status, was.Code, sentence(was.Why)+" Go back to the program that sent you here, and tell whoever runs it.", back)
	})
}

// sentence makes one of a description as RFC 6749 §5.2 has them.
func sentence(text string) string {
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
}

// refusal holds back an answer that is an error.
type refusal struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (f *refusal) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		f.status = status
		return
	}
	f.ResponseWriter.WriteHeader(status)
}

func (f *refusal) Write(b []byte) (int, error) {
	if f.status != 0 {
		return f.body.Write(b)
	}
	return f.ResponseWriter.Write(b)
}
