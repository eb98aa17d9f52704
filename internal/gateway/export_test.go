package gateway

import (
	"context"
	"crypto/x509"
	"net"
	"path/filepath"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/hsm"
	"github.com/mohor-sign/mohor/internal/secret"
	"github.com/mohor-sign/mohor/internal/timewatch"
)

// TokenPIN reads the token PIN from where c says.
func TokenPIN(c *Config) (secret.Text, error) { return c.Token.pin() }

// Greet goes to a mail server as far as a mail would.
func Greet(ctx context.Context, m MailConfig, address string) error { return greet(ctx, m, address) }

// QuartilesOf and SlopeOf are the arithmetic of reports.
var (
	QuartilesOf  = quartiles
	SlopeOf      = slope
	BenchIC      = benchIC
	Welch        = welch
	CompareTimes = compareTimes
)

// Judge fills in whether a row keeps its target.
func Judge(r *BenchRow) { r.judge() }

// Templates reads the templates of a configuration.
var Templates = (*Config).templates

// Processes reads the work processes of a configuration.
var Processes = (*Config).processes

// RenderConfig is the file that init writes, ChannelsOf the policy of a system.
var (
	RenderConfig = renderConfig
	ChannelsOf   = (*ChannelConfig).of
)

// Deliver empties the outbox of notices, as far as they are due.
func Deliver(ctx context.Context, s *Server) error {
	for {
		if ok, err := s.postman.Once(ctx); !ok || err != nil {
			return err
		}
	}
}

// DeliverEvents makes a try for every event that is due, ExpireOverdue ends what was not
// confirmed in time.
func DeliverEvents(ctx context.Context, s *Server) error {
	for {
		if ok, err := s.events.Once(ctx); !ok || err != nil {
			return err
		}
	}
}

// ExpireOverdue: see DeliverEvents.
var ExpireOverdue = (*Server).expireOverdue

// OpenDKIM reads the key of mail.dkim.
func OpenDKIM(c DKIMConfig) error {
	_, err := c.open()
	return err
}

// WatchTime has another clock watched for time-stamps, and what looks at it once.
func WatchTime(s *Server, read func() timewatch.Reading) (poll func(context.Context)) {
	s.watchTime(read)
	return s.time.Poll
}

// PublisherStep does once what a serving gateway does about CRLs and revocations to
// come, and says when it would again.
func PublisherStep(ctx context.Context, s *Server) time.Duration { return s.publisher.step(ctx) }

// Office is a bench's, with n officers, for processes that die in it.
type Office struct{ e *enrolling }

// OpenOffice makes or opens it in dir, with an empty PostgreSQL database or SQLite for "".
func OpenOffice(ctx context.Context, dir, database string, now func() time.Time, n int) (*Office, error) {
	b, err := newBench(ctx, &BenchOptions{Sessions: []int{2}, Now: now, Report: func(string, int, int) {}, database: database}, filepath.Join(dir, manyDir))
	if err != nil {
		return nil, err
	}
	return &Office{&enrolling{bench: b, n: n, r: &EnrolReport{Officers: n, Workers: 2}, kept: map[string]enrol.Letter{}}}, nil
}

// Prepare brings all officers to where they are to be approved.
func (o *Office) Prepare(ctx context.Context) error {
	_, steps, err := o.e.open(ctx)
	for _, s := range steps[:len(steps)-1] {
		if err == nil {
			err = s.do(ctx)
		}
	}
	return err
}

// Desk is that of the office, with a CA that works with what f makes of its own.
func (o *Office) Desk(ctx context.Context, f func(ca.Keys, ca.Records, enrol.Enrolments) (ca.Keys, ca.Records, enrol.Enrolments)) (*enrol.Desk, error) {
	if _, _, err := o.e.open(ctx); err != nil {
		return nil, err
	}
	keys, records, enrolments := f(caKeys{o.e.hsm}, o.e.db, o.e.db)
	a, err := ca.Load(ctx, o.e.Config.profile(true), keys, records, o.e.now)
	if err != nil {
		return nil, err
	}
	r := *o.e.desk.Registrar
	r.CA = a
	o.e.desk.Registrar, o.e.desk.Records = &r, enrolments
	return o.e.desk, nil
}

// PersonalKey is the key of what the office's database holds of people.
func (o *Office) PersonalKey(ctx context.Context) ([]byte, error) {
	return personalKey(ctx, o.e.db, o.e.hsm)
}

// Close closes the office.
func (o *Office) Close() error { return o.e.bench.Close() }

// CAOf gives the authorities of a gateway that serves.
func CAOf(s *Server) *ca.Authorities { return s.ca }

// CheckEnrolment names what cannot be right in that part of a configuration.
var CheckEnrolment, DefaultEnrolment = (*EnrolmentConfig).check, defaultEnrolment

// PersonalKey is the key of what a gateway's database holds of people.
func PersonalKey(ctx context.Context, s *Server) ([]byte, error) {
	return personalKey(ctx, s.db, s.hsm)
}

// Record puts a certificate on record as one that another CA issued for an officer.
func Record(ctx context.Context, s *Server, cert *x509.Certificate) error {
	row := ca.Certificate{Serial: cert.SerialNumber.String(), Issuer: ca.ExternalIssuer, Subject: cert.Subject.String(), Credential: "kc_" + cert.SerialNumber.String(),
		Status: ca.Reserved, DER: cert.RawTBSCertificate, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}
	ev := audit.Event{At: s.now(), Actor: "test", Action: "ca.issue", Object: row.Serial, Verdict: audit.Accepted}
	if err := s.db.ReserveExternal(ctx, row, s.now(), ev); err != nil {
		return err
	}
	row.Status, row.DER, row.Issuer = ca.Active, cert.Raw, ca.ExternalIssuer+":0123"
	return s.db.StoreExternal(ctx, row, []*x509.Certificate{cert}, ev)
}

// ServeOn serves on l as Run does; with public what listen_public does.
func ServeOn(s *Server, l net.Listener, public bool) (stop func() error) {
	h := s.handler
	if public {
		h = publicOnly(h)
	}
	srv := s.server(h)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l) // ends with stop
	}()
	return func() error {
		err := srv.Close()
		<-done
		return err
	}
}

// DoctorOfWebhooks is what the doctor says of a gateway's events, at a time.
func DoctorOfWebhooks(ctx context.Context, s *Server, now time.Time) (out []Finding) {
	d := &doctor{DoctorOptions: DoctorOptions{Now: func() time.Time { return now }, Report: func(f Finding) { out = append(out, f) }}, db: s.db}
	d.webhooks(ctx)
	return out
}

// CostOf splits the processor time of slices of transactions with that many documents, given those
// of the parts: key derivation, HMAC, C_Sign, verification, and a key opened, used and destroyed.
func CostOf(documents int, all, kdf, mac, raw, verified, used []hsm.Slice, here []time.Duration) APICost {
	var e [6]entrant
	p := parts{mac: &e[2], raw: &e[3], verified: &e[4], used: &e[5]}
	a := &asking{entrant: &e[0], kdf: &e[1], documents: documents, gateway: append([]time.Duration{0}, here...)}
	return p.costOf(a, map[*entrant][]hsm.Slice{&e[0]: all, &e[1]: kdf, &e[2]: mac, &e[3]: raw, &e[4]: verified, &e[5]: used})
}

// JudgeSteady compares latencies of rounds with and without a batch.
func JudgeSteady(with, without []map[string][]float64) (s Steady) {
	s.judge(with, without)
	return s
}

// ParseStat reads /proc/PID/stat.
var ParseStat = parseStat

// JudgeBatch fills in the targets of a report.
func JudgeBatch(r *BatchReport) { r.judge() }

// LimitOf composes a round's limit of parts that took this much processor time each, and of the rate at which
// files are written; a part of 0 is none.
func LimitOf(raw, verify, floor, page time.Duration, disk float64) (perSecond float64, capped bool) {
	part := func(cpu time.Duration) *batchPart {
		if cpu == 0 {
			return nil
		}
		return &batchPart{round: []hsm.Slice{{Ops: 10, Took: time.Second, CPU: 10 * cpu}}}
	}
	p := batchParts{raw: part(raw), verify: part(verify), floor: part(floor), page: part(page)}
	if disk > 0 {
		p.disk = &batchPart{round: []hsm.Slice{{Ops: int(disk), Took: time.Second}}}
	}
	l := p.limit()
	return l.perSecond, l.capped
}

// Look has every part looked at once, and the alarms brought up to date.
func Look(ctx context.Context, s *Server) { s.monitor.Round(ctx) }

// SetRoom says how much room folders have.
func SetRoom(s *Server, f func(path string) (bytes, inodes uint64, err error)) { s.room = f }

// SignHead signs the head of the audit chain, as a gateway that runs does.
func SignHead(ctx context.Context, s *Server) error { return s.heads.write(ctx) }

// InEarnest has the checks take a gateway for a real installation.
func InEarnest(s *Server) { s.Sandbox = false }

// Tell records an event.
func Tell(ctx context.Context, s *Server, ev audit.Event) error { return s.db.Audit(ctx, ev) }
