package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mohor-sign/mohor/api"
	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/batch"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/ident"
	"github.com/mohor-sign/mohor/internal/sandbox"
	"github.com/mohor-sign/mohor/internal/timewatch"
	"github.com/mohor-sign/mohor/notify"
	"github.com/mohor-sign/mohor/otp"
	"github.com/mohor-sign/mohor/pdf/verify"
	"github.com/mohor-sign/mohor/signer"
	"github.com/mohor-sign/mohor/web"
)

// Version is the product's version.
const Version = "0.1.0"

// Server is a proven installation, ready to serve.
type Server struct {
	*Installation
	Signer  *signer.Signer
	Runner  *batch.Runner
	Mailbox *sandbox.Mailbox // sandbox only

	handler http.Handler
	courier *notify.Courier
	logins  *mailLater
	postman *notify.Postman
	events  *notify.Webhooks
	blobs   documentStore
	packs   *batch.Packs // blobs, and certificates within one
	batches *batch.Service
	time    *timewatch.Watch
	heads   *headWriter

	publisher *publisher
	log       *slog.Logger
	unlock    func()

	stopping chan struct{} // closed when serving ends, for answers that never would
	stopOnce sync.Once
	readyMu  sync.Mutex
	readyAt  time.Time
	readyWas map[string]error
}

// Prove opens what serving needs and checks it all before anyone is listened
// to: one gateway a folder, module, keys, audit chain since its last signed
// head, a trial signature; then it resumes or closes what a crash left open.
// mailbox is
// the sandbox's, or nil.
func Prove(ctx context.Context, i *Installation, mailbox *sandbox.Mailbox, log *slog.Logger) (*Server, error) {
	if i.Sandbox && mailbox == nil {
		return nil, ErrSandbox
	}
	if !i.Sandbox && mailbox != nil {
		return nil, ErrNotDev
	}
	unlock, err := lockFile(filepath.Join(i.Dir, "serve.lock"))
	if err != nil {
		return nil, err
	}
	s := &Server{Installation: i, Mailbox: mailbox, log: log, unlock: unlock, heads: &headWriter{i: i, log: log}, stopping: make(chan struct{})}
	if err := s.prove(ctx); err != nil {
		if s.courier != nil {
			err = errors.Join(err, s.courier.Close(ctx))
		}
		unlock()
		return nil, err
	}
	return s, nil
}

func (s *Server) prove(ctx context.Context) error {
	if err := s.heads.believe(ctx); err != nil {
		return fmt.Errorf("verifying the audit chain: %w", err)
	}
	if err := s.keyring().prove(ctx, s.log); err != nil {
		return fmt.Errorf("comparing the keys with their records: %w", err)
	}
	kek, err := s.db.CurrentKEK(ctx)
	if err != nil {
		return err
	}
	if err := s.hsm.SelfTest(ctx, kek); err != nil { // ends with a trial signature
		return fmt.Errorf("testing the module: %w", err)
	}
	if err := s.units(ctx, s.log); err != nil {
		return err
	}
	if err := s.ca.CheckProfiles(ctx); err != nil {
		return fmt.Errorf("%w: ca.profiles: %w", ErrConfig, err)
	}
	if s.blobs, err = s.Config.openDocuments(); err != nil {
		return err
	}
	if err := proveDocuments(ctx, s.blobs); err != nil {
		return errors.Join(err, s.blobs.Close())
	}
	s.packs = batch.NewPacks(s.blobs)
	s.watchTime(timewatch.Machine)
	if err := s.wire(); err != nil {
		return errors.Join(err, s.blobs.Close())
	}
	if s.change != nil {
		s.change(s)
	}
	if err := s.db.LeaveReplies(ctx); err != nil {
		return errors.Join(fmt.Errorf("clearing interrupted requests: %w", err), s.blobs.Close())
	}
	if err := s.db.LeaveIntakes(ctx); err != nil {
		return errors.Join(fmt.Errorf("clearing interrupted uploads: %w", err), s.blobs.Close())
	}
	if err := s.PingRedis(ctx); err != nil {
		s.log.Warn("Redis is away; batches are signed but do not survive a stop, and this gateway alone can check the codes it issues", "error", err)
	}
	// Before anything goes on: a revocation that was due while no gateway ran counts.
	s.publisher = &publisher{ca: s.ca, db: s.db, now: s.now, log: s.log, numbers: make(map[string]int64)}
	if err := s.publisher.revoke(ctx); err != nil && !errors.Is(err, ca.ErrNotPublished) {
		return errors.Join(err, s.blobs.Close())
	}
	resumed, n, err := s.Signer.Recover(ctx)
	if err != nil {
		err = fmt.Errorf("closing what a crash left open: %w", err)
	} else {
		err = s.db.Audit(ctx, audit.Event{At: s.now(), Actor: "gateway", Action: "gateway.start", Object: Version, Verdict: audit.Noted})
	}
	if err != nil {
		for _, a := range resumed { // for the next start
			err = errors.Join(err, a.Close())
		}
		return errors.Join(err, s.blobs.Close())
	}
	if n > 0 {
		s.log.Warn("authorisations were open when the gateway last stopped; their batches need a new PIN and code", "count", n)
	}
	for _, a := range resumed {
		s.log.Info("a batch goes on after a stop", "transaction", a.Request.ID, "batch", a.Request.Batch)
		s.Runner.Start(a)
	}
	return nil
}

func (s *Server) wire() error {
	templates, err := s.Config.templates()
	if err != nil {
		return err
	}
	processes, err := s.Config.processes()
	if err != nil {
		return err
	}
	mailer, err := s.mailer()
	if err != nil {
		return err
	}
	stamper, err := s.stamper(s.log)
	if err != nil {
		return err
	}
	renderer, err := s.Config.certificates(s.Sandbox)
	if err != nil {
		return err
	}
	s.courier = notify.NewCourier(mailer, notify.CourierConfig{Now: s.now, Log: s.log})
	s.postman = &notify.Postman{Outbox: s.db, Mail: mailer, Now: s.now, Log: s.log, Unwanted: map[string]bool{notify.BatchEnded: !s.Config.Batch.MailOfficer}}
	s.events = s.deliverer()
	s.Desk.Mail = mailer
	c := &s.Config
	codes := &otp.Issuer{Records: s.db, Codes: s.codes(), MAC: macKey{s.hsm, hsm.CodeKey}, Senders: map[string]otp.Sender{signer.Email: s.courier},
		Policy: otp.Policy{TTL: c.Code.TTL, Tries: c.Code.Tries, ResendAfter: c.Code.ResendAfter, MaxSends: c.Code.MaxSends, PerHour: c.Code.PerHour, PerDay: c.Code.PerDay}}
	s.Signer = &signer.Signer{Records: s.db, Keys: officerKeys{s.hsm, s.db.CurrentKEK}, MAC: macKey{s.hsm, hsm.IntentKey}, Blobs: s.packs, Codes: codes, Shares: s.shares(), Now: s.now,
		PIN: c.PIN.limits(), CheckPIN: c.PIN.checkPIN, Headers: headers(s.db), Channels: c.Channels.of, AlarmTo: c.Mail.AlarmTo, Proxies: c.BehindProxy.Trusted,
		Timestamps: stamper, TSARoots: s.trustedTSAs, Outage: signer.Outage{FinishAtB: c.Timestamps.Outage == outageFinishes, Patience: c.Timestamps.Patience}, Revocation: revocation{s.ca}, Templates: templates, Processes: processes, TempDir: s.DataPath("tmp"), Lifetime: 30 * time.Minute, IntentBase: 10 * time.Minute, IntentPerDocument: 250 * time.Millisecond,
		Lease: c.Batch.Lease, Node: ident.New("no", 10)}
	s.Desk.PINs = pinProver{s.Signer}
	if s.Runner, err = s.runner(); err != nil {
		return err
	}
	recordURL := func(id string) string { return c.BaseURL + "/s/" + id }
	s.batches = &batch.Service{Queue: s.db, Blobs: s.packs, Passwords: s.Signer, Renderer: renderer, TempDir: s.DataPath("tmp"), Now: s.now,
		RecordURL: recordURL,
		MaxUpload: c.Limits.UploadMegabytes << 20, MaxPDF: c.Limits.PDFMegabytes << 20, Refuse: c.Limits.refuse()}
	s.logins = &mailLater{courier: s.courier, log: s.log}
	s.Accounts = s.accounts(newLoginCodes(codes, s.db.LoginCodes(), s.logins))
	secure := strings.HasPrefix(c.BaseURL, "https://")
	records := &publicRecords{s.db, s.packs, s.ca, s.others, s.tsas, s.now, recordURL}
	router, doc := api.New(api.Config{Certificates: records, MaxPublic: min(c.Limits.PublicMegabytes, c.Limits.PDFMegabytes) << 20, Signer: s.Signer, Runner: s.Runner, Batches: s.batches, Documents: s.db, CA: s.ca, Apps: s.Apps, Accounts: s.Accounts, Desk: s.Desk, Kept: s.Kept(), Auditors: &enrol.Auditors{Records: s.db, Heads: s.heads, Now: s.now}, Webhooks: s.Webhooks(), Subject: s.db, Codes: s.db.CodeSends, People: s.db, Replies: s.db,
		SecureCookies: secure, SigningURL: func(token string) string { return c.BaseURL + "/sign/" + token },
		Trust: func(ctx context.Context) (verify.Options, error) {
			return trust(ctx, s.ca, s.others, s.tsas, s.now())
		}, Fingerprint: macKey{s.hsm, hsm.IdempotencyKey}.MAC,
		Limits: s.limits(), Ready: s.ready, Stopping: s.stopping, Version: Version, MaxPDF: c.Limits.PDFMegabytes << 20, MaxUpload: c.Limits.UploadMegabytes << 20, TempDir: s.DataPath("tmp"), TrustedProxies: c.BehindProxy.Trusted, CertificateHeader: c.BehindProxy.CertificateHeader, Log: s.log, Now: s.now})
	web.Routes(router, web.Config{Records: records, Disown: &disowner{s.Signer, s.log}, Confirm: confirmer{s.Desk}, Signing: newHosted(s.Signer, s.Runner, s.db, s.db, c.portal(), s.Accounts, s.log), Images: loginImages{s.Accounts},
		API: router, Inner: api.Inner, SecureCookies: secure, Sandbox: s.Sandbox, Title: c.CA.Organization, Return: c.portal(), MaxUpload: c.Limits.UploadMegabytes << 20, Log: s.log, Now: s.now,
		OpenAPI: func() []byte {
			b, err := doc.MarshalJSON()
			if err != nil {
				s.log.Error("encoding the OpenAPI document", "error", err)
			}
			return b
		}})
	if s.Mailbox != nil {
		s.Mailbox.Routes(router)
		sandbox.AdministratorRoutes(router, s.DataPath(DevFile), s.now, s.log)
	}
	s.handler = s.guarded(router)
	return nil
}

// runner is sized by what the token has to give, unless the configuration says.
func (s *Server) runner() (*batch.Runner, error) {
	c := &s.Config.Batch
	width := c.Width
	if width == 0 {
		var err error
		if width, err = s.hsm.BulkSessions(context.Background()); err != nil {
			return nil, fmt.Errorf("measuring the token's sessions: %w", err)
		}
	}
	r := batch.NewRunner(s.Signer, width, c.Chunk, s.log)
	r.Outage, r.Batches = databaseBack, c.AtOnce
	return r, nil
}

// databaseBack is how long a batch insists on what the database does not take, while its lease is
// extended: longer than PostgreSQL keeps the change of a process that stopped in it, and all
// others waiting.
const databaseBack = 90 * time.Second

// tendEvery is about how often batches are looked for that other gateways have left, or sign.
const tendEvery = 3 * time.Second

// readyFor is how long a proof of readiness is repeated: the question is free
// and the answer costs a signature.
const readyFor = 2 * time.Second

// readyWithin is how long a proof may take.
const readyWithin = 10 * time.Second

// ready proves the parts: the HSM by a signature, the database by a read, the CRLs by
// their age.
func (s *Server) ready(ctx context.Context) map[string]error {
	s.readyMu.Lock()
	defer s.readyMu.Unlock()
	if s.readyWas == nil || time.Since(s.readyAt) >= readyFor {
		// The answer is for everybody who asks: one who hangs up must not spoil it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyWithin)
		defer cancel()
		s.readyWas, s.readyAt = map[string]error{"hsm": s.canary(ctx), "database": s.db.Ping(ctx), "crl": freshCRLs(ctx, s.ca, s.db, s.now())}, time.Now()
	}
	return s.readyWas
}

// canary signs under the KEK that is current now.
func (s *Server) canary(ctx context.Context) error {
	kek, err := s.db.CurrentKEK(ctx)
	if err != nil {
		return err
	}
	return s.hsm.Canary(ctx, kek)
}

// guarded lets only the proxies in when TLS ends at them: whoever reaches the
// plain port past them would send PINs in the clear.
func (s *Server) guarded(next http.Handler) http.Handler {
	trusted := s.Config.BehindProxy.Trusted
	if s.Config.TLS.Cert != "" || len(trusted) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := netip.ParseAddrPort(r.RemoteAddr)
		peer := at.Addr().Unmap()
		if err != nil || !peer.IsLoopback() && !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(peer) }) {
			http.Error(w, "only through the proxy", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Handler serves everything; tests use it without a listener.
func (s *Server) Handler() http.Handler { return s.handler }

// EndStreams ends answers that would go on as long as the gateway does.
func (s *Server) EndStreams() { s.stopOnce.Do(func() { close(s.stopping) }) }

// Close ends background work: documents in work are finished and stored, the
// rest of their batches is for the next start to resume or needs a new
// authorisation. The installation stays open.
func (s *Server) Close() error {
	s.Runner.Shutdown()
	ctx, cancel := context.WithTimeout(context.Background(), mailGrace)
	defer cancel()
	err := s.courier.Close(ctx)
	s.logins.close()
	err = errors.Join(err, s.heads.write(context.Background()))
	err = errors.Join(err, s.blobs.Close())
	s.unlock()
	return err
}

// Run serves on l (and on listen_public) until ctx ends, then lets requests in
// work end.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() { s.heads.run(ctx) })
	wg.Go(func() { s.sweep(ctx) })
	wg.Go(func() { s.Runner.Tend(ctx, tendEvery) })
	wg.Go(func() { s.watch(ctx) })
	wg.Go(func() { s.renew(ctx) })
	wg.Go(func() { s.keepTime(ctx) })
	wg.Go(func() { s.time.Run(ctx) })
	wg.Go(func() { s.publisher.run(ctx) })
	wg.Go(func() { s.postman.Run(ctx) })
	wg.Go(func() { s.events.Run(ctx) })
	wg.Go(func() { s.Desk.Run(ctx, s.log) })
	main := s.server(s.handler)
	if s.Config.TLS.Cert != "" {
		cert, err := tls.LoadX509KeyPair(s.Config.TLS.Cert, s.Config.TLS.Key)
		if err != nil {
			return fmt.Errorf("reading tls.cert and tls.key: %w", err)
		}
		shape := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		if s.Config.TLS.Request || s.Config.TLS.ClientCA != "" {
			// Who may come with which one is decided by app.
			shape.ClientAuth, shape.ClientCAs = tls.RequestClientCert, s.Apps.ClientCAs
		}
		l = tls.NewListener(l, shape)
	}
	servers := []*http.Server{main}
	failed := make(chan error, 3)
	wg.Go(func() {
		if err := s.heads.check(ctx); err != nil {
			failed <- err
		}
	})
	wg.Go(func() { failed <- main.Serve(l) })
	if s.Config.ListenPublic != "" {
		pl, err := net.Listen("tcp", s.Config.ListenPublic)
		if err != nil {
			return errors.Join(fmt.Errorf("listening on listen_public: %w", err), main.Close())
		}
		public := s.server(publicOnly(s.handler))
		servers = append(servers, public)
		wg.Go(func() { failed <- public.Serve(pl) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop()
	s.EndStreams()
	grace, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, x := range servers {
		if serr := x.Shutdown(grace); serr != nil {
			_ = x.Close() // cut what would not end
		}
	}
	wg.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

// sweepEvery is how often intents past their deadline are looked for.
const sweepEvery = time.Minute

// sweep closes what lost its run, and tells another CA what it is to revoke, until
// ctx ends.
func (s *Server) sweep(ctx context.Context) {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if n, err := s.Signer.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweeping intents", "error", err)
		} else if n > 0 {
			s.log.Warn("authorisations ran out without an end", "count", n)
		}
		if err := s.expireOverdue(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweeping transactions", "error", err)
		}
		if err := s.batches.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweeping uploads", "error", err)
		}
		if err := s.Accounts.Sweep(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("sweeping log-ins and sessions", "error", err)
		}
		if s.ca.External == nil {
			continue
		}
		if err := s.ca.External.Settle(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("telling the CA what it is to revoke", "error", err)
		}
	}
}

func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
}

// publicOnly serves what public_url promises and nothing else.
func publicOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		if !strings.HasPrefix(p, "/crl/") && !strings.HasPrefix(p, "/ca/") && p != "/ocsp" && !strings.HasPrefix(p, "/ocsp/") {
			http.NotFound(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// OpenAPI is the description of the API as JSON, without an installation.
func OpenAPI() ([]byte, error) {
	_, doc := api.New(api.Config{Version: Version, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	return doc.MarshalJSON()
}
