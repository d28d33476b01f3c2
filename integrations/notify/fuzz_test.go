package notify_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchcycle/patchcycle/integrations/notify"
)

// Whatever the file says, it is refused, or all of it can be used.
func FuzzAFileThatSaysWhoIsToldIsRefusedOrCanBeUsed(f *testing.F) {
	f.Add([]byte("mail:\n  server: 127.0.0.1:25\n  from: p@example.org\nrecipients:\n- name: ops\n  mail: ops@example.org\n  roles: [operator]\n  quiet: \"20:00-07:00\"\n  zone: UTC\n"))
	f.Add([]byte("webhooks:\n- name: chat\n  url: https://chat.example.org/x\n  secret_file: chat.secret\nrecipients:\n- name: ops\n  webhook: chat\n  account: ana\n  lines: 5\n"))
	f.Add([]byte("recipients: [{name: a, mail: b, owners: [\"\"]}]\nsilent_after: 2d\n"))
	dir := f.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "chat.secret"), []byte(secret), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "notify.yaml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "chat.secret"), filepath.Join(filepath.Dir(file), "chat.secret")); err != nil {
			t.Fatal(err)
		}
		config, err := notify.Read(file)
		if err != nil {
			return
		}
		for _, r := range config.Recipients {
			if r.Channel == nil || r.Channel.Words() == "" || r.Lines < 1 || r.Every < time.Minute || r.AlertEvery < time.Minute {
				t.Fatalf("%+v", r)
			}
			r.Quiet.After(noon)
		}
		if len(config.Recipients) == 0 || config.SilentAfter < time.Hour {
			t.Fatalf("%+v", config)
		}
	})
}
