package notify

import (
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	"strings"
	texttemplate "text/template"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sluice/internal/event"
	"sluice/internal/text"
)

//go:embed template
var templates embed.FS

// The same words twice; html/template escapes what videos are called.
var (
	asText = texttemplate.Must(texttemplate.ParseFS(templates, "template/message.txt"))
	asHTML = htmltemplate.Must(htmltemplate.ParseFS(templates, "template/message.html"))
)

// digest is what the templates read.
type digest struct {
	Headline string // "12 videos failed, 3 are ready again"
	Span     string // when
	Groups   []group
	Page     string // address of the page
	Host     string
}

// group is the failures of one code, or all recoveries.
type group struct {
	Title   string // "not_media, 12 times"
	Message string // what to do
	Items   []item
	More    int // that are not named
	Link    string
}

// item is one video.
type item struct{ Name, Link string }

// compose writes a message. All that varies and comes from outside is in its body and its subject, without control characters.
func (m *Mailer) compose(mail event.Mail) (*gomail.Msg, error) {
	l := m.digest(mail)
	msg, err := m.envelope(mail.Address, subject(mail, l.Headline), mail.Created, fmt.Sprintf("sluice.%d.%d", mail.ID, mail.Created.UnixMilli()))
	if err == nil {
		err = msg.SetBodyTextTemplate(asText.Lookup("message.txt"), l)
	}
	if err == nil {
		err = msg.AddAlternativeHTMLTemplate(asHTML.Lookup("message.html"), l)
	}
	if err != nil {
		return nil, unmade(err)
	}
	return msg, nil
}

// envelope is a message without its body. One that is sent again is the same message (RFC 5322 §3.6.4), so that a mailbox can drop the second one.
func (m *Mailer) envelope(to, subject string, date time.Time, id string) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(m.from.Name, m.from.Address); err != nil {
		return nil, err
	}
	if err := msg.To(to); err != nil {
		return nil, err
	}
	msg.Subject(subject)
	msg.SetDateWithValue(date)
	_, domain, _ := strings.Cut(m.from.Address, "@")
	msg.SetMessageIDWithValue(id + "@" + domain)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer by a machine
	return msg, nil
}

func (m *Mailer) digest(mail event.Mail) digest {
	l := digest{Page: m.PublicURL + "/#/", Host: strings.TrimPrefix(strings.TrimPrefix(m.PublicURL, "https://"), "http://"), Span: span(mail.Notices)}
	var failed, recovered int
	for _, g := range mail.Groups {
		in := group{Title: times(g), Link: m.PublicURL + "/#/errors?code=" + url.QueryEscape(g.Code), More: g.Count}
		if g.Event == event.VideoRecovered {
			recovered += g.Count
			in.Link = l.Page
		} else {
			failed += g.Count
		}
		for _, n := range mail.Notices {
			if n.Event == g.Event && n.Code == g.Code {
				in.Message = plain(n.Message, 500)
				in.Items = append(in.Items, item{Name: plain(n.Name, 120), Link: m.PublicURL + "/#/v/" + n.Video})
				in.More--
			}
		}
		l.Groups = append(l.Groups, in)
	}
	l.Headline = headline(failed, recovered)
	return l
}

// headline counts: "1 video failed, 3 are ready again".
func headline(failed, recovered int) string {
	var parts []string
	if failed > 0 {
		parts = append(parts, count(failed)+" failed")
	}
	switch {
	case recovered > 0 && failed == 0:
		parts = append(parts, count(recovered)+" "+be(recovered)+" ready again")
	case recovered > 0:
		parts = append(parts, fmt.Sprintf("%d %s ready again", recovered, be(recovered)))
	}
	return strings.Join(parts, ", ")
}

func count(n int) string {
	if n == 1 {
		return "1 video"
	}
	return fmt.Sprintf("%d videos", n)
}

func be(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

func times(g event.NotificationGroup) string {
	title := g.Code
	if g.Event == event.VideoRecovered {
		title = "Ready again"
	}
	if g.Count > 1 {
		title += fmt.Sprintf(" (%d)", g.Count)
	}
	return title
}

// subject names the video where there is but one.
func subject(mail event.Mail, headline string) string {
	if len(mail.Notices) != 1 {
		return "Sluice: " + headline
	}
	n := mail.Notices[0]
	if n.Event == event.VideoRecovered {
		return "Sluice: " + plain(n.Name, 60) + " is ready again"
	}
	return "Sluice: " + plain(n.Name, 60) + " failed (" + n.Code + ")"
}

// span is when the first and the last notice were written.
func span(notices []event.Notification) string {
	if len(notices) == 0 {
		return ""
	}
	const form = "2006-01-02 15:04"
	first, last := notices[0].Time.UTC().Format(form), notices[len(notices)-1].Time.UTC().Format(form)
	if first == last {
		return first + " UTC"
	}
	return first + " to " + strings.TrimPrefix(last, notices[0].Time.UTC().Format(time.DateOnly+" ")) + " UTC"
}

// plain is text from outside on one line (text.Line), of at most so many characters.
func plain(s string, most int) string {
	clean := []rune(text.Line(s))
	if len(clean) > most {
		return string(clean[:most-1]) + "…"
	}
	return string(clean)
}
