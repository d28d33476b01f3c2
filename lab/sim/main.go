package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Main runs a fleet as a process of its own until SIGTERM or SIGINT, or, if
// standard input is a pipe, until that is closed: a fleet does not outlive who
// started it. When all machines are enrolled it prints one line of JSON,
// {"machines":200,"ready":true}; the log goes to standard error. It returns the
// process's exit code: 0 after a clean stop, 1 after a failure, 2 for wrong
// arguments.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if pipe(os.Stdin) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // to its end, whatever ends it
			cancel()
		}()
	}
	return run(ctx, args, os.Stdout, os.Stderr)
}

func pipe(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0
}

// Ready is the line that a fleet prints when its machines are enrolled.
type Ready struct {
	Machines int  `json:"machines"`
	Ready    bool `json:"ready"`
}

// Reached is the line that it prints at the event named by -tell-at.
type Reached struct {
	Event int64 `json:"event"`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c, err := parseFlags(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return 2
	}
	if err := c.run(ctx, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "fleet:", err)
		return 1
	}
	return 0
}

func (c *command) run(ctx context.Context, stdout, stderr io.Writer) error {
	link, err := uplink.NewClient(uplink.ClientOptions{URL: c.server, TLS: c.tls, Connections: MaxDirect})
	if err != nil {
		return err
	}
	defer link.Close()
	c.options.Link = link
	var level zap.AtomicLevel
	c.options.Log, level = logger(stderr, c.verbose)
	// That the work in hand could not be finished is what stopping means.
	context.AfterFunc(ctx, func() { level.SetLevel(zapcore.FatalLevel) })
	out := json.NewEncoder(&locked{w: stdout})
	c.options.OnEvent = c.atEvent(out)
	fleet, err := Open(c.options)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- fleet.Run(ctx) }()
	select {
	case <-fleet.Ready():
		err = out.Encode(Ready{Machines: len(fleet.Truth()), Ready: true})
		if err == nil {
			err = <-ended
		}
	case err = <-ended:
	}
	return errors.Join(err, fleet.Close())
}

// atEvent is for crash tests: an instant in the middle of an installation, the
// same one in every run of a seed as far as machines do not race.
func (c *command) atEvent(out *json.Encoder) func(int64) {
	if c.killAt == 0 && c.killAllAt == 0 && c.tellAt == 0 {
		return nil
	}
	return func(n int64) {
		if n == c.tellAt {
			_ = out.Encode(Reached{Event: n}) // who does not listen any more does not wait for it
		}
		if n == c.killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if n == c.killAllAt {
			_ = syscall.Kill(0, syscall.SIGKILL) // the whole group, this process too
		}
	}
}

// locked lets several goroutines write lines.
type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// logger writes warnings, at most ten of a kind a second: thousands of machines
// notice the same outage.
func logger(w io.Writer, verbose bool) (*zap.Logger, zap.AtomicLevel) {
	level := zap.NewAtomicLevelAt(zapcore.WarnLevel)
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	core := zapcore.NewCore(zapcore.NewConsoleEncoder(c), zapcore.Lock(zapcore.AddSync(w)), level)
	if verbose {
		level.SetLevel(zapcore.InfoLevel)
		return zap.New(core), level
	}
	const first, thereafter = 10, 0
	return zap.New(zapcore.NewSamplerWithOptions(core, time.Second, first, thereafter)), level
}

// command is what the arguments say.
type command struct {
	options Options
	server  string
	tls     *tls.Config
	verbose bool
	// Events of the witnesses, counted from 1; 0: none.
	killAt, killAllAt, tellAt int64
}

func parseFlags(args []string, stderr io.Writer) (*command, error) {
	var (
		c       command
		p       = &c.options.Profile
		fs      = flag.NewFlagSet("fleet", flag.ContinueOnError)
		sites   = fs.Int("sites", 4, "number of sites, each in a zone of its own as far as they reach")
		profile = fs.String("profile", "", "JSON file with the whole profile, in place of the flags that draw the fleet")
		tokens  = fs.String("tokens", "", "JSON file with the enrolment token of each site")
		direct  = fs.String("direct", "", "sites whose machines poll by themselves, by commas, or \"all\" (at most 1,000 machines); the others stand behind relays")
		resume  = fs.Bool("resume", false, "continue the fleet in the folder; without it the folder has to be new")
		ca      = fs.String("ca", "", "PEM file with the certificate authority of the server")
	)
	fs.SetOutput(stderr)
	fs.StringVar(&c.options.Dir, "dir", "", "folder of the fleet (required)")
	fs.StringVar(&c.server, "server", "", "address of the server: https://host:port, or http://127.0.0.1:port, or unix:/path (required)")
	fs.IntVar(&p.Machines, "machines", 200, "number of machines")
	fs.Uint64Var(&p.Seed, "seed", 1, "what the fleet is drawn from")
	fs.Func("bad", "a patch that goes wrong, as package:how:rate with how of "+fmt.Sprint(truth.Hows())+"; may be repeated", func(s string) error {
		b, err := parseBad(s)
		p.Bad = append(p.Bad, b)
		return err
	})
	fs.IntVar(&p.Dead, "dead", 0, "machines that fall silent when an installation is ordered")
	fs.IntVar(&p.Flaky, "flaky", 0, "machines that lose a third of their requests or answers")
	fs.IntVar(&p.ClockOff, "clock-off", 0, "machines that live three days in the past")
	fs.IntVar(&p.DiskFull, "disk-full", 0, "machines without room for a package")
	fs.IntVar(&p.Slow, "slow", 0, "machines that take twenty times as long")
	fs.IntVar(&p.ObserveOnly, "observe-only", 0, "machines whose own rules let nothing be installed")
	fs.Float64Var(&c.options.Speed, "speed", 1, "divides every duration of the machines; the clock stays the real one")
	fs.IntVar(&c.options.SyncAtOnce, "sync", 64, "witness files synced at once; negative leaves it to the operating system")
	fs.Int64Var(&c.options.Spool, "spool", 0, "bytes of receipts that each relay keeps while it has no line; 0: none")
	fs.BoolVar(&c.options.Patient, "patient", false, "machines wait after failures of the line as long as real agents do")
	fs.BoolVar(&c.verbose, "verbose", false, "log what each agent does")
	fs.Int64Var(&c.killAt, "kill-at", 0, "kill this process at the n-th event of its witnesses")
	fs.Int64Var(&c.killAllAt, "kill-all-at", 0, "kill this process's whole group at the n-th event: the server too, if it started the fleet")
	fs.Int64Var(&c.tellAt, "tell-at", 0, "print a line at the n-th event of the witnesses")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	p.Sites = truth.DefaultSites(*sites)
	if err := c.complete(fs, *profile, *tokens, *ca, *resume); err != nil {
		return nil, err
	}
	return &c, c.setDirect(*direct)
}

// complete reads the files that flags name and checks what belongs together.
func (c *command) complete(fs *flag.FlagSet, profile, tokens, ca string, resume bool) error {
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("%q is no flag", fs.Arg(0))
	case c.options.Dir == "" || c.server == "":
		return errors.New("-dir and -server have to be given")
	case c.options.Speed <= 0:
		return fmt.Errorf("-speed %g: want a number above 0", c.options.Speed)
	case resume && !Exists(c.options.Dir):
		return fmt.Errorf("-resume: there is no fleet in %s", c.options.Dir)
	case !resume && Exists(c.options.Dir):
		return fmt.Errorf("there is a fleet in %s already: continue it with -resume, or take another folder", c.options.Dir)
	}
	if profile != "" {
		c.options.Profile = truth.Profile{}
		if err := readJSON(profile, &c.options.Profile); err != nil {
			return fmt.Errorf("-profile: %w", err)
		}
	}
	if tokens != "" {
		if err := readJSON(tokens, &c.options.Tokens); err != nil {
			return fmt.Errorf("-tokens: %w", err)
		}
	}
	if resume {
		if err := keepProfile(&c.options); err != nil {
			return err
		}
	}
	if ca == "" {
		return nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return fmt.Errorf("-ca: %w", err)
	}
	c.tls = &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS13}
	if !c.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("-ca: %s holds no certificate", ca)
	}
	return nil
}

func (c *command) setDirect(names string) error {
	known := map[string]bool{}
	for _, s := range c.options.Profile.Sites {
		known[string(s.Name)] = true
		if names == "all" {
			c.options.Direct = append(c.options.Direct, s.Name)
		}
	}
	if names == "" || names == "all" {
		return nil
	}
	for name := range strings.SplitSeq(names, ",") {
		if !known[name] {
			return fmt.Errorf("-direct: the fleet has no site %q", name)
		}
		c.options.Direct = append(c.options.Direct, patching.SiteName(name))
	}
	return nil
}

func parseBad(s string) (truth.Bad, error) {
	f := strings.Split(s, ":")
	if len(f) != 3 {
		return truth.Bad{}, errors.New("want package:how:rate, as openssl:postinst:0.2")
	}
	rate, err := strconv.ParseFloat(f[2], 64)
	if err != nil {
		return truth.Bad{}, fmt.Errorf("rate %q is no number", f[2])
	}
	return truth.Bad{Package: f[0], How: truth.How(f[1]), Rate: rate}, nil
}

func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}
