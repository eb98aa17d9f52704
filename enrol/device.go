package enrol

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mohor-sign/mohor/audit"
	"github.com/mohor-sign/mohor/internal/secret"
)

// A remembered device holds epoch ‖ expiry ‖ 16 random bytes ‖ the 16 bytes of the account's id ‖
// HMAC over them and the IC, in base64url. What it is worth ends with the password it was made
// under. Those of earlier releases do not say whose they are.
const (
	deviceSize  = 8 + 8 + 16
	deviceNamed = deviceSize + 16
	deviceMAC   = 32
)

// DeviceFor is how long a device is remembered.
const DeviceFor = 180 * 24 * time.Hour

// idBytes are the random bytes of an account's id; nil for one that has none.
func idBytes(account string) []byte {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimPrefix(account, "ac_")))
	if err != nil || len(raw) != deviceNamed-deviceSize {
		return nil
	}
	return raw
}

func (a *Accounts) device(ctx context.Context, acct *Account, epoch int64) (secret.Text, error) {
	b := binary.BigEndian.AppendUint64(nil, uint64(epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(a.Now().Add(DeviceFor).Unix()))
	b = append(b, make([]byte, 16)...)
	_, _ = rand.Read(b[16:]) // crypto/rand never fails (it ends the process)
	b = append(b, idBytes(acct.ID)...)
	mac, err := a.MAC.MAC(ctx, deviceMessage(acct.IC, b))
	if err != nil {
		return secret.Text{}, fmt.Errorf("remembering device: %w", err)
	}
	return secret.New(base64.RawURLEncoding.EncodeToString(append(b, mac...))), nil
}

func deviceMessage(ic string, b []byte) []byte {
	return append([]byte("mohor device v1\n"+ic+"\n"), b...)
}

// devicesOf is the subject of an account's devices, all of them: who clears failures need
// not know which there are.
func devicesOf(account string) string { return "device:" + account }

// deviceIn reads what a device says; ok is false for what cannot be one, or is none any more.
func (a *Accounts) deviceIn(device string) (b, mac []byte, ok bool) {
	b, err := base64.RawURLEncoding.DecodeString(device)
	if err != nil || len(b) != deviceSize+deviceMAC && len(b) != deviceNamed+deviceMAC {
		return nil, nil, false
	}
	b, mac = b[:len(b)-deviceMAC], b[len(b)-deviceMAC:]
	until := time.Unix(int64(binary.BigEndian.Uint64(b[8:16])), 0)
	return b, mac, a.Now().Before(until) && !until.After(a.Now().Add(DeviceFor))
}

// genuine says whether a device was made for ic.
func (a *Accounts) genuine(ctx context.Context, ic string, b, mac []byte) (bool, error) {
	want, err := a.MAC.MAC(ctx, deviceMessage(ic, b))
	if err != nil {
		return false, fmt.Errorf("looking at device: %w", err)
	}
	return subtle.ConstantTimeCompare(mac, want) == 1, nil
}

// remembered says whether a genuine device is still worth something to the account.
func remembered(acct *Account, epoch int64, b []byte) bool {
	return uint64(epoch) == binary.BigEndian.Uint64(b[:8]) && (len(b) == deviceSize || bytes.Equal(b[deviceSize:], idBytes(acct.ID)))
}

// knows gives the device's subject when ic has logged in on it; "" otherwise. A forged one
// costs the HSM a MAC, so an address has no more of those than of other failures.
func (a *Accounts) knows(ctx context.Context, ic, device, address string) (string, error) {
	b, mac, ok := a.deviceIn(device)
	forged := "device " + address
	if !ok || a.addresses.allow(forged, a.Now()) != nil {
		return "", nil
	}
	switch ok, err := a.genuine(ctx, ic, b, mac); {
	case err != nil:
		return "", err
	case !ok:
		a.addresses.add(forged, 1, a.Now())
		return "", nil
	}
	acct, proofs, err := a.Records.AccountByIC(ctx, ic)
	if errors.Is(err, ErrUnknown) || err == nil && !remembered(&acct, proofs.Epoch, b) {
		return "", nil
	}
	return devicesOf(acct.ID), err
}

// ImageFor gives the picture, by its name, that the officer chose who was the last to log in where
// device is, and the IC. It is for the gateway's own pages, shown there alone. ErrUnknown for
// whatever is no device of an active account, and for one without a picture.
func (a *Accounts) ImageFor(ctx context.Context, device string) (ic, image string, err error) {
	b, mac, ok := a.deviceIn(device)
	var from string
	if o := audit.OriginOf(ctx); o != nil {
		from = o.Address
	}
	forged := "device " + network(from) // as in knows
	if !ok || len(b) != deviceNamed || a.addresses.allow(forged, a.Now()) != nil {
		return "", "", ErrUnknown
	}
	id := "ac_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[deviceSize:]))
	acct, proofs, err := a.Records.Account(ctx, id)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return "", "", err
	}
	// Also for nobody's account: time does not tell which there are.
	if ok, err = a.genuine(ctx, acct.IC, b, mac); err != nil {
		return "", "", err
	}
	if !ok {
		a.addresses.add(forged, 1, a.Now())
	}
	if !ok || acct.State != AccountActive || !remembered(&acct, proofs.Epoch, b) {
		return "", "", ErrUnknown
	}
	image, err = a.Records.SecurityImage(ctx, acct.IC)
	return acct.IC, image, err
}
