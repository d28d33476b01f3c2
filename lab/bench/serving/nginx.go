package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// nginxProgram is where nginx is.
type nginxProgram string

func findNginx() (nginxProgram, error) {
	for _, at := range []string{"nginx", "/usr/sbin/nginx"} { // where an ordinary user does not look
		if found, err := exec.LookPath(at); err == nil {
			return nginxProgram(found), nil
		}
	}
	return "", errors.New("nginx is not installed, and the relay is measured beside it: apt-get install nginx-light")
}

func (n nginxProgram) version(ctx context.Context) string {
	text, err := exec.CommandContext(ctx, string(n), "-v").CombinedOutput()
	if err != nil {
		return ""
	}
	_, version, _ := strings.Cut(strings.TrimSpace(string(text)), ": ")
	return strings.TrimPrefix(version, "nginx version: ")
}

// start runs nginx with a configuration of ours: Debian's, without its log of every
// request, which a relay has none of either.
func (n nginxProgram) start(ctx context.Context, dir, files, plain, secure string, own certificate) (*process, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, []byte(nginxConfig(dir, files, plain, secure, own, os.Geteuid() == 0)), 0o600); err != nil {
		return nil, err
	}
	return startProcess(ctx, plain, filepath.Join(dir, "log"), string(n), "-p", dir, "-c", config, "-e", "stderr")
}

func nginxConfig(dir, files, plain, secure string, own certificate, isRoot bool) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if isRoot {
		line("user root;") // the files are in a folder that nobody else may read
	}
	line("daemon off;\nworker_processes auto;\npid %s/pid;\nerror_log stderr;", dir)
	line("events { worker_connections 768; }\nhttp {")
	for _, what := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		line("  %s_temp_path %s/%s;", what, dir, what)
	}
	line("  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_requests 1000000;\n  default_type application/octet-stream;\n  root %s;", files)
	line("  server { listen %s; }", plain)
	line("  server {\n    listen %s ssl;\n    ssl_certificate %s;\n    ssl_certificate_key %s;\n    ssl_protocols TLSv1.3;\n  }\n}", secure, own.cert, own.key)
	return b.String()
}
