package main

import (
	"fmt"
	"net/mail"
	"regexp"
	"time"

	"sluice/internal/notify"
)

// SMTP says which mail server takes messages.
type SMTP struct {
	Host     string `help:"Mail server that takes notifications. Without one they wait in the outbox." env:"HOST"`
	Port     int    `help:"Its port; 0 for 587 with starttls, 465 with implicit, 25 with none." default:"0" env:"PORT"`
	User     string `help:"Name to sign in with; empty for none." env:"USER"`
	Password Secret `help:"Password to sign in with. Other users of this machine see command lines: set it in the environment or the file." env:"PASSWORD"`
	From     string `help:"Sender: sluice@example.com, or Sluice <sluice@example.com>." env:"FROM"`
	Helo     string `help:"Name that EHLO sends to the mail server; empty for this machine's host name." env:"HELO"`
	TLS      string `name:"tls" help:"Encryption: starttls, implicit or none." default:"starttls" enum:"starttls,implicit,none" env:"TLS"`
}

// Notify says how often addresses are written to.
type Notify struct {
	Every time.Duration `help:"Least time between two messages to one address; what happens in between goes together." default:"5m" env:"EVERY"`
}

// heloName is a domain or an address literal (RFC 5321 §4.1.2, §4.1.3).
var heloName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*|\[(?:IPv6:)?[0-9A-Fa-f:.]+\])$`)

func (s SMTP) check() error {
	if s.Host == "" {
		return nil
	}
	if _, err := mail.ParseAddress(s.From); err != nil {
		return fmt.Errorf("smtp.from is %q; use an address such as sluice@example.com", s.From)
	}
	if s.Port < 0 || s.Port > 65535 {
		return fmt.Errorf("smtp.port is %d; use 1 to 65535, or 0 for the usual one", s.Port)
	}
	if s.Helo != "" && !heloName.MatchString(s.Helo) {
		return fmt.Errorf("smtp.helo is %q; use a host name such as mail.example.com, or an address such as [192.0.2.7]", s.Helo)
	}
	if (s.User == "") != (s.Password == "") {
		return fmt.Errorf("smtp.user and smtp.password go together; set both or none")
	}
	if s.User != "" && s.TLS == "none" {
		return fmt.Errorf("smtp.tls is none, which would show smtp.password to the network; use starttls or implicit")
	}
	return nil
}

func (n Notify) check() error {
	if n.Every < time.Second || n.Every > 24*time.Hour {
		return fmt.Errorf("notify.every is %s; use 1s to 24h", n.Every)
	}
	return nil
}

// wakeEvery is how often what waits in the outbox without a job is looked for: a process without these settings may have written it.
const wakeEvery = 30 * time.Second

// openMail has notices and letters sent where there is a mail server; else it returns nil, and they wait in the outbox.
func (a *App) openMail() (*notify.Mailer, error) {
	s := a.settings.SMTP
	if s.Host == "" {
		return nil, nil
	}
	a.store.MailBy(notify.Job)
	a.store.LettersBy(notify.LetterJob)
	return notify.New(notify.Config{
		Store: stageRecords(a.store), Letters: stageLetters(a.store), Every: a.settings.Notify.Every, PublicURL: a.settings.PublicURL, Log: a.log,
		SMTP: notify.SMTP{Host: s.Host, Port: s.Port, User: s.User, Password: string(s.Password), From: s.From, TLS: notify.Encryption(s.TLS), Helo: s.Helo},
	})
}
