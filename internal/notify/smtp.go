package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"sync"
	"time"

	gomail "github.com/wneessen/go-mail"

	"sluice/internal/fault"
)

// Encryption is how the connection to the mail server is protected.
type Encryption string

// The ways to protect it.
const (
	StartTLS    Encryption = "starttls" // begun in the open, encrypted before anything is said (RFC 3207); refused where the server can't
	ImplicitTLS Encryption = "implicit" // encrypted from the first byte (RFC 8314)
	Plain       Encryption = "none"     // for a server on the same machine
)

// SMTP is the mail server that takes the messages.
type SMTP struct {
	Host     string
	Port     int // 0 for the encryption's own: 587, 465 or 25
	User     string
	Password string
	From     string // sender: sluice@example.com or Sluice <sluice@example.com>
	TLS      Encryption
	Helo     string // name that EHLO sends (RFC 5321 §4.1.1.1); empty for this machine's
}

const (
	dialLimit = 30 * time.Second
	talkLimit = 2 * time.Minute // a greeting may be held back, and a body scanned
	grace     = 5 * time.Second // for a message under way when the server stops: cut off, it may arrive twice
)

func (s SMTP) port() int {
	switch {
	case s.Port != 0:
		return s.Port
	case s.TLS == ImplicitTLS:
		return 465
	case s.TLS == Plain:
		return 25
	default:
		return 587
	}
}

// unmade is the error of a message that could not be written.
func unmade(err error) error {
	return fault.New(fault.Internal, "notify.send", "message_not_made", "The message could not be written; see the server's log.", err)
}

// send gives one message to the mail server. Its errors are fault.Unavailable, to be tried again, or fault.Invalid, for good.
func (m *Mailer) send(ctx context.Context, msg *gomail.Msg) error {
	l := &line{config: &tls.Config{ServerName: m.SMTP.Host, MinVersion: tls.VersionTLS12}, implicit: m.SMTP.TLS == ImplicitTLS}
	client, err := gomail.NewClient(m.SMTP.Host, m.options(l)...)
	if err != nil {
		return fault.New(fault.Unavailable, "notify.send", "smtp_misconfigured", "The mail server's settings can't be used; check smtp.host and smtp.port.", err)
	}
	defer l.close()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, l.close) })()
	err = client.DialAndSendWithContext(context.WithoutCancel(ctx), msg)
	if err == nil || msg.IsDelivered() { // what went wrong after that, with QUIT say, is no matter
		return nil
	}
	return verdict(err)
}

func (m *Mailer) options(l *line) []gomail.Option {
	s := m.SMTP
	options := []gomail.Option{
		gomail.WithPort(s.port()), gomail.WithTimeout(talkLimit), gomail.WithDialContextFunc(l.dial), gomail.WithTLSConfig(l.config), gomail.WithoutNoop(),
	}
	switch s.TLS {
	case ImplicitTLS:
		options = append(options, gomail.WithSSL())
	case Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	case StartTLS:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if s.Helo != "" {
		options = append(options, gomail.WithHELO(s.Helo))
	}
	if s.User != "" {
		options = append(options, gomail.WithUsername(s.User), gomail.WithPassword(s.Password),
			gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin, gomail.SMTPAuthCramMD5))
	}
	return options
}

// line is the connection of one message, kept so that it can be cut and is closed in any case.
type line struct {
	config   *tls.Config
	implicit bool

	mu   sync.Mutex
	conn net.Conn
	cut  bool
}

func (l *line) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	dialer := &net.Dialer{Timeout: dialLimit}
	if l.implicit {
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: l.config}).DialContext(ctx, network, address)
	} else {
		conn, err = dialer.DialContext(ctx, network, address)
	}
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	l.conn = conn
	return conn, nil
}

// close ends the connection, or keeps one from being made.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	if l.conn != nil {
		_ = l.conn.Close() // most often it is closed already
	}
}

// verdict says what an error of the mail server means. Only a refusal of the address or of the message itself is
// permanent: a refused sender, login, relay or certificate, and a refusal without a cause, are settings that a person
// corrects.
func verdict(err error) error {
	const op = "notify.send"
	var sent *gomail.SendError
	if errors.As(err, &sent) && sent.ErrorCode()/100 == 5 {
		reply := replyOf(sent)
		switch reply.about(sent.Reason) {
		case ofRecipient:
			return fault.New(fault.Invalid, op, "recipient_refused", fmt.Sprintf("The mail server takes no mail for this address (%s); check the address.", reply), err)
		case ofMessage:
			return fault.New(fault.Invalid, op, "message_refused", fmt.Sprintf("The mail server does not take this message (%s); see the server's log.", reply), err)
		case ofSender:
			return fault.New(fault.Unavailable, op, "sender_refused", fmt.Sprintf("The mail server does not take mail from this sender (%s); check smtp.from and smtp.user.", reply), err)
		case ofServer:
			return fault.New(fault.Unavailable, op, "relay_refused", fmt.Sprintf("The mail server does not relay this mail for us, requires a login, or has a limit that was reached (%s); "+
				"check smtp.user, smtp.password and smtp.tls, and let the mail server accept mail from this machine.", reply), err)
		case unclear:
			return fault.New(fault.Unavailable, op, "mail_refused", fmt.Sprintf("The mail server refuses this mail without a code for the cause (%s); "+
				"read its reply in the server's log, and check smtp.from and that the mail server has verified this sender.", reply), err)
		case unsaid:
		}
	}
	var said *textproto.Error
	var cert *tls.CertificateVerificationError
	switch {
	case errors.As(err, &cert):
		return fault.New(fault.Unavailable, op, "smtp_untrusted", "The mail server's certificate is not trusted here; check smtp.host and this machine's certificate authorities.", err)
	case errors.As(err, &said) && said.Code/100 == 5:
		return fault.New(fault.Unavailable, op, "smtp_refused", fmt.Sprintf("The mail server refuses the connection or the login (%d); check smtp.user, smtp.password and smtp.tls.", said.Code), err)
	default:
		return fault.New(fault.Unavailable, op, "smtp_unavailable", "The mail server can't be reached or put the message off; check smtp.host, smtp.port and smtp.tls.", err)
	}
}
