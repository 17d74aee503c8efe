package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/client"
	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

func TestAFailureIsTableAndMail(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	authority, err := notifytest.NewAuthority(ca)
	if err != nil {
		t.Fatal(err)
	}
	office := notifytest.Start(t, authority, notifytest.Options{})
	s := rig.Start(t, rig.Options{
		Args: []string{"--smtp-host", "localhost", "--smtp-port", strconv.Itoa(office.Port), "--smtp-from", "sluice@example.com", "--smtp-user", notifytest.User},
		Env:  []string{"SLUICE_SMTP_PASSWORD=" + notifytest.Password, "SSL_CERT_FILE=" + ca},
	})
	c, err := client.New(s.URL, s.Token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Subscribe(t.Context(), "ops@example.com"); err != nil {
		t.Fatal(err)
	}
	letter := filepath.Join(t.TempDir(), "letter.mp4")
	if err := os.WriteFile(letter, []byte("Dear Sir or Madam, this is no video.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := s.Await(s.Upload(letter, "letter.mp4"), time.Minute)
	if v.Status != "failed" {
		t.Fatalf("%s", v.Raw)
	}
	l := office.Await(t, 1)[0]
	if subject := l.Message.Header.Get("Subject"); !l.TLS || !strings.HasPrefix(subject, "Sluice: letter.mp4 failed (") || !strings.Contains(string(l.Raw), "#/v/"+v.ID) {
		t.Errorf("encrypted %v, subject %q\n%s", l.TLS, subject, l.Raw)
	}
	found := false
	for e, err := range c.Errors(t.Context(), client.ErrorQuery{Video: v.ID, Step: "ingest"}) {
		if err != nil {
			t.Fatal(err)
		}
		found = e.Final && e.Name == "letter.mp4"
	}
	if !found {
		t.Error("the failure is not in the table of errors")
	}
	if strings.Contains(s.Log(), notifytest.Password) {
		t.Error("the log has the password")
	}
}
