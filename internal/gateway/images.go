package gateway

import (
	"context"
	"errors"

	"github.com/mohor-sign/mohor/enrol"
)

// loginImages is portal.Images on the accounts.
type loginImages struct{ accounts *enrol.Accounts }

// LoginImage implements portal.Images.
func (p loginImages) LoginImage(ctx context.Context, device string) (string, error) {
	_, image, err := p.accounts.ImageFor(ctx, device)
	if errors.Is(err, enrol.ErrUnknown) {
		return "", nil
	}
	return image, err
}
