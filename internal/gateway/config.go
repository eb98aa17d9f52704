package gateway

import (
	"bytes"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/mohor-sign/mohor/ca"
	"github.com/mohor-sign/mohor/enrol"
	"github.com/mohor-sign/mohor/internal/timewatch"
	"github.com/mohor-sign/mohor/pdf"
	"github.com/mohor-sign/mohor/signer"
)

// ConfigFile is the name of the configuration in the data folder.
const ConfigFile = "mohor.yaml"

// configTemplate is the file `mohor init` writes; every field is documented in
// it, where the operator reads it.
//
//go:embed mohor.yaml.tmpl
var configTemplate string

// Config is mohor.yaml. Unknown keys are refused. Relative paths are relative
// to the data folder. What each field means stands in mohor.yaml.tmpl.
type Config struct {
	Listen       string      `yaml:"listen"`
	ListenPublic string      `yaml:"listen_public"`
	BaseURL      string      `yaml:"base_url"`
	PublicURL    string      `yaml:"public_url"`
	TLS          TLSConfig   `yaml:"tls"`
	BehindProxy  ProxyConfig `yaml:"behind_proxy"`
	Token        TokenConfig `yaml:"token"`
	Database     string      `yaml:"database"`
	// DatabasePasswordFile holds the password of a PostgreSQL server's user.
	DatabasePasswordFile string        `yaml:"database_password_file"`
	Blobs                string        `yaml:"blobs"`
	S3                   S3Config      `yaml:"s3"`
	Redis                RedisConfig   `yaml:"redis"`
	Mail                 MailConfig    `yaml:"mail"`
	Channels             ChannelConfig `yaml:"channels"`
	CA                   CAConfig      `yaml:"ca"`
	Code                 CodeConfig    `yaml:"code"`
	PIN                  PINConfig     `yaml:"pin"`
	Sessions             SessionConfig `yaml:"sessions"`
	Renewal              RenewalConfig `yaml:"renewal"`
	Limits               LimitConfig   `yaml:"limits"`
	Batch                BatchConfig   `yaml:"batch"`
	Audit                AuditConfig   `yaml:"audit"`
	Backup               BackupConfig  `yaml:"backup"`

	Retention RetentionConfig `yaml:"retention"`
	Enrolment EnrolmentConfig `yaml:"enrolment"`

	Outbound   OutboundConfig  `yaml:"outbound"`
	Timestamps TimestampConfig `yaml:"timestamps"`

	Templates map[string]TemplateConfig `yaml:"templates"`
	Ecert     EcertConfig               `yaml:"ecert"`
	// Processes is a file with the work processes of ICT systems; "" has those of iGFMAS.
	Processes string `yaml:"processes"`
}

// EcertConfig is what eCertificates look like.
type EcertConfig struct {
	// Templates is a folder with an agency's own layouts, words and pictures, beside
	// or in place of those that come with the program; "" for none.
	Templates string `yaml:"templates"`
}

// TLSConfig names the gateway's own certificate and key, PEM, and whose certificates
// applications are bound to.
type TLSConfig struct {
	Cert     string `yaml:"cert"`
	Key      string `yaml:"key"`
	ClientCA string `yaml:"client_ca"`
	Request  bool   `yaml:"request_client_certificate"`
}

// ProxyConfig lists the proxies whose forwarded addresses, and certificates of clients, are
// believed.
type ProxyConfig struct {
	Trusted           []netip.Prefix `yaml:"trusted"`
	CertificateHeader string         `yaml:"certificate_header"`
}

// TokenConfig says where the keys are.
type TokenConfig struct {
	Module        string `yaml:"module"`
	Label         string `yaml:"label"`
	PINFile       string `yaml:"pin_file"`
	PINEnv        string `yaml:"pin_env"`
	PINCredential string `yaml:"pin_credential"`
	SoftHSMConf   string `yaml:"softhsm_conf"`
	Sessions      int    `yaml:"sessions"`
	Interactive   int    `yaml:"interactive"`
	Process       string `yaml:"process"`
	// Services, if it has a label, is another token for the keys of the
	// authorities and the audit seal.
	Services ServiceTokenConfig `yaml:"services"`
}

// ServiceTokenConfig is a second token of the same module.
type ServiceTokenConfig struct {
	Label   string `yaml:"label"`
	PINFile string `yaml:"pin_file"`
}

// The values of token.process.
const (
	processSeparate = "separate"
	processInside   = "inside"
)

// MailConfig is the way codes leave.
type MailConfig struct {
	Host         string     `yaml:"host"`
	Port         int        `yaml:"port"`
	TLS          string     `yaml:"tls"`
	Username     string     `yaml:"username"`
	PasswordFile string     `yaml:"password_file"`
	From         string     `yaml:"from"`
	AlarmTo      []string   `yaml:"alarm_to"`
	DKIM         DKIMConfig `yaml:"dkim"`
}

// DKIMConfig is the key that messages are signed with; empty: none.
type DKIMConfig struct {
	Domain   string `yaml:"domain"`
	Selector string `yaml:"selector"`
	KeyFile  string `yaml:"key_file"`
}

// CAConfig shapes certificates.
type CAConfig struct {
	Organization string        `yaml:"organization"`
	Key          string        `yaml:"key"`
	PolicyOID    string        `yaml:"policy_oid"`
	TSAPolicy    string        `yaml:"tsa_policy_oid"`
	Issuers      []string      `yaml:"issuers"`
	Officer      time.Duration `yaml:"officer_validity"`
	CRL          time.Duration `yaml:"crl_validity"`
	Time         TimeConfig    `yaml:"time"`
	// External, if it has an address, issues officers' certificates in the place of
	// the issuing CA.
	External ExternalCAConfig `yaml:"external"`
	// Profiles of people's certificates by name.
	Profiles map[string]ProfileConfig `yaml:"profiles"`
}

// ProfileConfig is a [ca.EndEntity].
type ProfileConfig struct {
	Issuers     []string      `yaml:"issuers"`
	Validity    time.Duration `yaml:"validity"`
	Keys        []string      `yaml:"keys"`
	KeyUsage    []string      `yaml:"key_usage"`
	ExtKeyUsage []string      `yaml:"ext_key_usage"`
	Policies    []string      `yaml:"policies"`
	Subject     []string      `yaml:"subject"`
	CRL         []string      `yaml:"crl"`
	OCSP        []string      `yaml:"ocsp"`
	CAIssuers   []string      `yaml:"ca_issuers"`
}

// TimeConfig says by whom the clock is checked for time-stamps.
type TimeConfig struct {
	Peers     []string      `yaml:"peers"`
	MaxOffset time.Duration `yaml:"max_offset"`
	MaxAge    time.Duration `yaml:"max_age"`
	Accuracy  time.Duration `yaml:"accuracy"`
}

// check returns the field that cannot be right and what it must be.
func (c *TimeConfig) check() (field, want string) {
	for k, p := range c.Peers {
		if timewatch.CheckPeer(p) != nil || slices.Contains(c.Peers[:k], p) {
			return "ca.time.peers", "different NTP servers, host or host:port"
		}
	}
	switch {
	case len(c.Peers) > maxPeers:
		return "ca.time.peers", fmt.Sprintf("at most %d NTP servers", maxPeers)
	case c.Accuracy < time.Second || c.Accuracy > time.Minute || c.Accuracy%time.Second != 0:
		return "ca.time.accuracy", "whole seconds, 1s to 1m"
	case c.MaxOffset < time.Millisecond || c.MaxOffset >= c.Accuracy:
		return "ca.time.max_offset", fmt.Sprintf("1ms or more and below %s, the accuracy in time-stamps", c.Accuracy)
	case c.MaxAge < time.Minute || c.MaxAge > 24*time.Hour:
		return "ca.time.max_age", "1m to 24h"
	}
	return "", ""
}

// maxPeers bounds how many NTP servers are asked at once.
const maxPeers = 16

// CodeConfig limits one-time codes.
type CodeConfig struct {
	TTL         time.Duration `yaml:"ttl"`
	Tries       int           `yaml:"tries"`
	ResendAfter time.Duration `yaml:"resend_after"`
	MaxSends    int           `yaml:"max_sends"`
	PerHour     int           `yaml:"per_hour"`
	PerDay      int           `yaml:"per_day"`
}

// PINConfig says which PINs may be chosen and how often one may be tried.
type PINConfig struct {
	MinLength    int           `yaml:"min_length"`
	MaxLength    int           `yaml:"max_length"`
	RefuseCommon bool          `yaml:"refuse_common"`
	LockAfter    int           `yaml:"lock_after"`
	LockFor      time.Duration `yaml:"lock_for"`
	BlockAfter   int           `yaml:"block_after"`
}

// RenewalConfig says when a renewal needs no approval.
type RenewalConfig struct {
	WithoutApproval bool          `yaml:"without_approval"`
	Within          time.Duration `yaml:"within"`
}

func defaultRenewal() RenewalConfig {
	return RenewalConfig{WithoutApproval: true, Within: 30 * 24 * time.Hour}
}

// SessionConfig says how long people stay logged in.
type SessionConfig struct {
	OfficerIdle       time.Duration `yaml:"officer_idle"`
	AdministratorIdle time.Duration `yaml:"administrator_idle"`
	Absolute          time.Duration `yaml:"absolute"`
}

func defaultSessions() SessionConfig {
	return SessionConfig{OfficerIdle: 30 * time.Minute, AdministratorIdle: 15 * time.Minute, Absolute: 12 * time.Hour}
}

// check returns the field that cannot be right and what it must be.
func (c *SessionConfig) check() (field, want string) {
	for field, d := range map[string]time.Duration{"officer_idle": c.OfficerIdle, "administrator_idle": c.AdministratorIdle} {
		if d < 2*time.Minute || d > time.Hour || d > c.Absolute {
			return "sessions." + field, "2m to 1h, and not above absolute"
		}
	}
	if c.Absolute > 24*time.Hour {
		return "sessions.absolute", "at most 24h"
	}
	return "", ""
}

// LimitConfig bounds what comes in.
type LimitConfig struct {
	PDFMegabytes    int64 `yaml:"pdf_megabytes"`
	UploadMegabytes int64 `yaml:"upload_megabytes"`
	// PublicMegabytes bounds a PDF that anybody may have checked.
	PublicMegabytes int64 `yaml:"public_megabytes"`
	// PDFRefuse is the severity of findings for which a PDF is refused, or none.
	PDFRefuse string `yaml:"pdf_refuse"`
}

// refuse is what batch.Service.Refuse is to be.
func (c *LimitConfig) refuse() pdf.Severity {
	if c.PDFRefuse == "none" {
		return ""
	}
	return pdf.Severity(c.PDFRefuse)
}

// BatchConfig sizes the workers.
type BatchConfig struct {
	Width int `yaml:"width"`
	Chunk int `yaml:"chunk"`
	// OpenFor is after how long a batch expires that nobody has touched.
	OpenFor time.Duration `yaml:"open_for"`
	// MailOfficer: the officer is mailed how a batch ended.
	MailOfficer bool `yaml:"mail_officer"`
	// AtOnce is how many batches a gateway signs at once; Lease how long it counts as alive without
	// a sign of life.
	AtOnce int           `yaml:"at_once"`
	Lease  time.Duration `yaml:"lease"`
}

// defaultBatch is for files of before these fields.
func defaultBatch() BatchConfig {
	return BatchConfig{OpenFor: 30 * 24 * time.Hour, MailOfficer: true, AtOnce: 8, Lease: signer.DefaultLease}
}

// minOpenFor is longer than a transaction waits.
const minOpenFor = time.Hour

// AuditConfig says where signed heads go.
type AuditConfig struct {
	Heads string        `yaml:"heads"`
	Every time.Duration `yaml:"every"`
}

// OutboundConfig says which addresses besides public ones the gateway may ask when
// others have named them.
type OutboundConfig struct {
	Networks []netip.Prefix `yaml:"networks"`
	Hosts    []string       `yaml:"hosts"`
}

// TemplateConfig is how visible signatures look under a name.
type TemplateConfig struct {
	Style    string   `yaml:"style"`
	Language string   `yaml:"language"`
	Lines    []string `yaml:"lines"`
	Image    string   `yaml:"image"`
	QR       string   `yaml:"qr"`
}

// ErrConfig wraps everything that is wrong with a configuration.
var ErrConfig = errors.New("configuration")

// LoadConfig reads and checks the configuration of a data folder.
func LoadConfig(dir string) (Config, error) {
	raw, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return Config{}, fmt.Errorf("reading configuration: %w", err)
	}
	return parseConfig(dir, raw)
}

func parseConfig(dir string, raw []byte) (Config, error) {
	c, err := decodeConfig(raw, true)
	if err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	c.resolve(dir)
	return c, nil
}

// decodeConfig reads the file; strict refuses unknown keys.
func decodeConfig(raw []byte, strict bool) (Config, error) {
	// What a file of an earlier version does not say.
	p := enrol.DefaultPINPolicy()
	c := Config{PIN: PINConfig{MinLength: p.MinLength, MaxLength: p.MaxLength, RefuseCommon: p.RefuseCommon}, CA: CAConfig{TSAPolicy: ca.DefaultTSAPolicy, Time: TimeConfig{MaxOffset: 500 * time.Millisecond, MaxAge: 30 * time.Minute, Accuracy: ca.DefaultProfile().Accuracy}, External: ExternalCAConfig{Timeout: 20 * time.Second}},
		Timestamps: TimestampConfig{From: stampsOwn, Outage: outageWaits, Patience: time.Minute}, S3: defaultS3(),
		Limits: LimitConfig{PDFRefuse: string(pdf.Danger), PublicMegabytes: 25}, Channels: defaultChannels(), Sessions: defaultSessions(), Renewal: defaultRenewal(), Retention: defaultRetention(), Enrolment: defaultEnrolment(), Batch: defaultBatch(), Backup: defaultBackup()}
	d := yaml.NewDecoder(bytes.NewReader(raw))
	d.KnownFields(strict)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("%w: reading %s: %w", ErrConfig, ConfigFile, err)
	}
	return c, nil
}

// resolve makes paths absolute.
func (c *Config) resolve(dir string) {
	paths := append(c.Timestamps.files(), []*string{&c.TLS.Cert, &c.TLS.Key, &c.TLS.ClientCA, &c.Token.PINFile, &c.Token.Services.PINFile, &c.Token.SoftHSMConf, &c.DatabasePasswordFile, &c.Blobs, &c.S3.SecretKeyFile, &c.S3.CAFile, &c.Retention.Archives, &c.Mail.PasswordFile, &c.Mail.DKIM.KeyFile, &c.Audit.Heads, &c.Redis.PasswordFile, &c.Redis.SentinelPasswordFile, &c.Redis.CAFile, &c.CA.External.RootsFile, &c.CA.External.KeyFile, &c.Processes, &c.Ecert.Templates}...)
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for name, t := range c.Templates {
		if t.Image != "" && !filepath.IsAbs(t.Image) {
			t.Image = filepath.Join(dir, t.Image)
			c.Templates[name] = t
		}
	}
	if !c.postgres() && !filepath.IsAbs(c.Database) {
		c.Database = filepath.Join(dir, c.Database)
	}
}

// check names the first field that cannot be right, and what it must be.
func (c *Config) check() error {
	bad := func(field, want string) error { return fmt.Errorf("%w: %s must be %s", ErrConfig, field, want) }
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return bad("listen", "host:port")
	}
	for field, v := range map[string]string{"base_url": c.BaseURL, "public_url": c.PublicURL} {
		if u, err := url.Parse(v); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.HasSuffix(v, "/") || u.RawQuery != "" {
			return bad(field, "an http or https address without a slash at the end")
		}
	}
	if field, want := c.Redis.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.checkDatabase(); field != "" {
		return bad(field, want)
	}
	if field, want := c.checkDocuments(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Channels.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Mail.check(); field != "" {
		return bad(field, want)
	}
	if d := c.Renewal.Within; d < 24*time.Hour || d > 90*24*time.Hour {
		return bad("renewal.within", "24h to 2160h")
	}
	if field, want := c.Retention.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Enrolment.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Sessions.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.CA.External.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Timestamps.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.CA.Time.check(); field != "" {
		return bad(field, want)
	}
	if field, want := c.Backup.check(); field != "" {
		return bad(field, want)
	}
	switch {
	case !strings.HasPrefix(c.PublicURL, "http://"):
		return bad("public_url", "an http address: whoever checks a certificate must reach it without a certificate")
	case c.BehindProxy.CertificateHeader != "" && (len(c.BehindProxy.Trusted) == 0 || !headerName(c.BehindProxy.CertificateHeader)):
		return bad("behind_proxy.certificate_header", "the name of a header, with behind_proxy.trusted")
	case c.TLS.Cert == "" && c.TLS.Request:
		return bad("tls.request_client_certificate", "set with tls.cert; behind a proxy it is certificate_header")
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return bad("tls.cert and tls.key", "set together")
	case c.TLS.Cert == "" && len(c.BehindProxy.Trusted) == 0 && !loopback(c.Listen):
		return bad("listen", "a loopback address, unless tls.cert and tls.key or behind_proxy.trusted are set: PINs must not travel in the clear")
	case c.Token.Label == "":
		return bad("token.label", "set")
	case c.Token.checkPIN() != nil:
		return c.Token.checkPIN()
	case (c.Token.Services.Label == "") != (c.Token.Services.PINFile == ""):
		return bad("token.services.label and token.services.pin_file", "set together")
	case c.Token.Process != "" && c.Token.Process != processSeparate && c.Token.Process != processInside:
		return bad("token.process", processSeparate+" or "+processInside)
	case c.Database == "" || c.Audit.Heads == "":
		return bad("database and audit.heads", "set")
	case c.Code.TTL < time.Minute || c.Code.TTL > 10*time.Minute:
		return bad("code.ttl", "1m to 10m")
	case c.Code.Tries < 1 || c.Code.Tries > 5:
		return bad("code.tries", "1 to 5")
	case c.Code.ResendAfter < time.Second || c.Code.MaxSends < 1 || c.Code.PerHour < 1 || c.Code.PerDay < c.Code.PerHour:
		return bad("code.resend_after, max_sends, per_hour and per_day", "positive, per_day not below per_hour")
	case c.PIN.LockAfter < 1 || c.PIN.LockAfter > 10 || c.PIN.BlockAfter < c.PIN.LockAfter || c.PIN.BlockAfter > 100 || c.PIN.LockFor < time.Minute:
		return bad("pin", "lock_after 1 to 10, block_after from lock_after to 100, lock_for at least 1m")
	case c.PIN.MinLength < enrol.MinPIN || c.PIN.MinLength > c.PIN.MaxLength || c.PIN.MaxLength > enrol.MaxPIN:
		return bad("pin.min_length and max_length", fmt.Sprintf("%d to %d characters, max_length not below min_length", enrol.MinPIN, enrol.MaxPIN))
	case c.Limits.PDFMegabytes < 1 || c.Limits.UploadMegabytes < c.Limits.PDFMegabytes:
		return bad("limits", "at least 1, upload_megabytes not below pdf_megabytes")
	case c.Limits.PublicMegabytes < 1:
		return bad("limits.public_megabytes", "at least 1")
	case c.Limits.PDFRefuse != "none" && c.Limits.refuse() != pdf.Warning && c.Limits.refuse() != pdf.Danger:
		return bad("limits.pdf_refuse", "danger, warning or none")
	case c.Batch.OpenFor < minOpenFor || c.Batch.OpenFor > 10*365*24*time.Hour:
		return bad("batch.open_for", "1h to 87600h")
	case c.Batch.Width < 0 || c.Batch.Chunk < 1 || c.Batch.Chunk > 1000:
		return bad("batch", "width at least 0, chunk 1 to 1000")
	case c.Batch.AtOnce < 1 || c.Batch.AtOnce > 1000:
		return bad("batch.at_once", "1 to 1000")
	case c.Batch.Lease < time.Second || c.Batch.Lease > 10*time.Minute:
		return bad("batch.lease", "1s to 10m")
	case c.Audit.Every < time.Second || c.Audit.Every > time.Hour:
		return bad("audit.every", "1s to 1h")
	case c.CA.Officer < time.Hour || c.CA.CRL < time.Hour || c.CA.Organization == "":
		return bad("ca", "complete: organization, officer_validity and crl_validity of at least 1h")
	}
	if _, err := x509.ParseOID(c.CA.TSAPolicy); err != nil {
		return bad("ca.tsa_policy_oid", "an object identifier, such as "+ca.DefaultTSAPolicy)
	}
	profile := c.profile(false)
	if err := profile.Check(); err != nil {
		return fmt.Errorf("%w: ca.profiles: %w", ErrConfig, err)
	}
	return nil
}

// ListenOn replaces Listen for this process; the whole configuration must be
// right with it.
func (c *Config) ListenOn(address string) error {
	c.Listen = address
	return c.check()
}

func loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// renderConfig fills the template for a new installation.
func renderConfig(o InitOptions) ([]byte, error) {
	t, err := template.New(ConfigFile).Option("missingkey=error").Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("reading configuration template: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, o); err != nil {
		return nil, fmt.Errorf("writing configuration: %w", err)
	}
	return b.Bytes(), nil
}
