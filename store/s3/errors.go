package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"

	"github.com/mohor-sign/mohor/signer"
)

// ErrNoBlob means a document's bytes are not there. It wraps fs.ErrNotExist.
var ErrNoBlob = fmt.Errorf("document bytes are missing: %w", fs.ErrNotExist)

// errReplaced: what was opened is not there any more, something else is.
var errReplaced = errors.New("the object was replaced while it was read")

// absent says that the store knows no such object. No such bucket is another matter.
func absent(err error) bool {
	code := minio.ToErrorResponse(err).Code
	return code == minio.NoSuchKey || code == "NotFound"
}

// failed says where something failed, how, and what to do; never with which secret. Unless the
// caller gave up, or the object is not there or not the same, the store counts as unavailable.
func (b *Blobs) failed(ctx context.Context, doing string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%s: %s: %w", b.where, doing, cause)
	}
	r := minio.ToErrorResponse(err)
	switch {
	case absent(err):
		return fmt.Errorf("%s: %s: %w", b.where, doing, ErrNoBlob)
	case r.Code == minio.PreconditionFailed || r.StatusCode == http.StatusPreconditionFailed:
		return fmt.Errorf("%s: %s: %w", b.where, doing, errReplaced)
	case r.Code == "": // no answer of S3
		return fmt.Errorf("%w: %s: %s: %w; is s3.endpoint right, and the store up?", signer.ErrStoreUnavailable, b.where, doing, err)
	}
	what := fmt.Sprintf("%s (%d)", r.Code, r.StatusCode)
	if todo := remedy(r.Code); todo != "" {
		what += "; " + todo
	}
	return fmt.Errorf("%w: %s: %s: %s", signer.ErrStoreUnavailable, b.where, doing, what)
}

func remedy(code string) string {
	switch code {
	case minio.NoSuchBucket:
		return "make the bucket, or correct s3.bucket"
	case minio.AccessDenied:
		return "the key of s3.access_key must be allowed to get, put, delete and list objects, and to abort and list multipart uploads"
	case "InvalidAccessKeyId", "XAdminUserNotFound":
		return "the store does not know s3.access_key"
	case "SignatureDoesNotMatch":
		return "s3.secret_key_file holds another key than the store"
	case "RequestTimeTooSkewed":
		return "the clocks of this machine and the store differ"
	case "AuthorizationHeaderMalformed", "InvalidRegion", "PermanentRedirect":
		return "correct s3.region"
	case "QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge":
		return "make room in the store"
	}
	return ""
}
