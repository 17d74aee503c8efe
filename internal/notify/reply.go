package notify

import (
	"regexp"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"
)

// cause is what a mail server refuses with a reply that begins with 5.
type cause int

const (
	unsaid cause = iota
	ofRecipient
	ofMessage
	ofSender
	ofServer // the login, the relay, the policy or a limit: a setting here or there
	unclear  // the text of the mail or a setting: the server does not say which
)

// reply is what a mail server answered.
type reply struct {
	code     int
	enhanced string // RFC 3463, such as 5.7.1; empty where the server sends none
	text     string // in lower case, without addresses
}

var (
	enhancedCode = regexp.MustCompile(`(?:^|[\s(#"])(5\.\d{1,3}\.\d{1,3})(?:$|[\s):;,"])`) // net/textproto quotes the text; qmail writes (#5.7.1)
	anAddress    = regexp.MustCompile(`<[^>]*>|[^\s<>()"]+@[^\s<>()",;:]+`)                // its words say nothing about the cause
	aboutRelay   = regexp.MustCompile(`\brelay|\bauthenticat|\bauth\b|\blog ?in\b`)
)

// replyOf reads the reply that an error carries: go-mail gives it as text, and the enhanced code only where the server announces ENHANCEDSTATUSCODES.
func replyOf(sent *gomail.SendError) reply {
	text, _, _ := strings.Cut(sent.Error(), ", affected recipient(s):")
	text = strings.ToLower(anAddress.ReplaceAllString(text, ""))
	r := reply{code: sent.ErrorCode(), text: text}
	if found := enhancedCode.FindStringSubmatch(text); found != nil {
		r.enhanced = found[1]
	}
	return r
}

func (r reply) String() string { return strings.TrimSpace(strconv.Itoa(r.code) + " " + r.enhanced) }

// about tells what a reply at a step of the transaction is about. RFC 3463 says it by class: 5.1 and 5.2 are the address and its mailbox, 5.4 the way to it (Exchange answers 550
// 5.4.1 for an address that it does not have), 5.7 is security and policy: relaying, authentication, reputation. 5.1.7 and 5.1.8 are the sender's address (§3.2). RFC 4954 §6 has
// 530, 534, 535 and 538 for authentication, and servers that want a login first answer 503. 5.4.5 is a limit on sending
// (Gmail: "Daily user sending limit exceeded"). Without an enhanced code (or with class 0, which says nothing) the text
// decides, because Exim says "550 relay not permitted". At RCPT 550 to 553 and 556 are then the address (RFC 5321 §4.2.3,
// RFC 7504). At DATA and its end 550 and 554 are unclear: Amazon SES and SendGrid refuse an unverified sender there.
// Anything else may be a setting, so that the message waits.
func (r reply) about(step gomail.SendErrReason) cause {
	class, _, _ := strings.Cut(strings.TrimPrefix(r.enhanced, "5."), ".")
	unclassed := class == "" || class == "0"
	switch {
	case r.code == 503, r.code == 530, r.code == 534, r.code == 535, r.code == 538:
		return ofServer
	case step == gomail.ErrSMTPMailFrom, r.enhanced == "5.1.7", r.enhanced == "5.1.8":
		return ofSender
	case step != gomail.ErrSMTPRcptTo && step != gomail.ErrSMTPData && step != gomail.ErrSMTPDataClose:
		return unsaid
	case class == "7":
		return ofServer
	case class == "1":
		return ofRecipient
	case r.enhanced == "5.4.5", unclassed && aboutRelay.MatchString(r.text):
		return ofServer
	case step != gomail.ErrSMTPRcptTo && unclassed && (r.code == 550 || r.code == 554):
		return unclear
	case step != gomail.ErrSMTPRcptTo:
		return ofMessage
	case class == "2", class == "4":
		return ofRecipient
	case !unclassed:
		return ofServer
	case r.code == 550, r.code == 551, r.code == 552, r.code == 553, r.code == 556:
		return ofRecipient
	}
	return ofServer
}
