package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
)

// Serves U1. OpenSSH's own program signs what machines take, and takes what we sign.
func TestWhatPeopleSignIsOpenSSHs(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("needs ssh-keygen, of openssh-client")
	}
	require.NoError(t, err, "install openssh-client")
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa", "-b", "256"}, {"ecdsa", "-b", "521"}, {"rsa", "-b", "3072"}} {
		t.Run(kind[0], func(t *testing.T) {
			dir := t.TempDir()
			in := func(name string) string { return filepath.Join(dir, name) }
			run := func(stdin string, args ...string) error {
				cmd := exec.Command(keygen, args...)
				if stdin != "" {
					f, err := os.Open(stdin)
					require.NoError(t, err)
					defer f.Close()
					cmd.Stdin = f
				}
				out, err := cmd.CombinedOutput()
				t.Logf("%s", out)
				return err
			}
			require.NoError(t, run("", append([]string{"-q", "-N", "", "-f", in("key"), "-C", "ben@work", "-t"}, kind...)...))
			line, err := os.ReadFile(in("key.pub"))
			require.NoError(t, err)
			o := newOffice(t)
			o.root.Approvers[1].Key, err = ParsePersonKey(string(line))
			require.NoError(t, err)
			s := o.signed(t, o.grants(), o.ana)

			require.NoError(t, os.WriteFile(in("grants"), s.Document, 0o600))
			require.NoError(t, run("", "-Y", "sign", "-n", string(GrantsPaper), "-f", in("key"), in("grants")))
			armored, err := os.ReadFile(in("grants.sig"))
			require.NoError(t, err)
			theirs, err := ParseSignature(armored)
			require.NoError(t, err)
			s.Signatures = append(s.Signatures, theirs)
			require.NoError(t, o.take(o.ordered(t, o.draft(), o.warrant(t, s))))

			text, err := os.ReadFile(in("key"))
			require.NoError(t, err)
			signer, err := ssh.ParsePrivateKey(text)
			require.NoError(t, err)
			ours, err := Sign(GrantsPaper, s.Document, signer)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(in("ours.sig"), ours.Armored(), 0o600))
			require.NoError(t, os.WriteFile(in("allowed"), append([]byte("ben "), line...), 0o600))
			verify := []string{"-Y", "verify", "-f", in("allowed"), "-I", "ben", "-n", string(GrantsPaper), "-s", in("ours.sig")}
			assert.NoError(t, run(in("grants"), verify...))
			assert.Error(t, run(in("allowed"), verify...), "of another text it is none")
		})
	}
}

func TestASignatureFileIsRefusedThatIs(t *testing.T) {
	o := newOffice(t)
	good := o.ana.sign(t, GrantsPaper, []byte("text")).Armored()
	for name, text := range map[string][]byte{
		"empty": nil, "something else": []byte("hello"), "two": append(append([]byte{}, good...), good...),
		"cut off": good[:len(good)/2], "another block": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
	} {
		_, err := ParseSignature(text)
		assert.Error(t, err, name)
	}
	_, err := ParseSignature(append([]byte("\n "), good...))
	assert.NoError(t, err)
}
