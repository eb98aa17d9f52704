"""Bodies that are no text: schemathesis asks how they are sent."""

import schemathesis

for media_type in ("application/pdf", "application/ocsp-request", "application/timestamp-query"):

    @schemathesis.serializer(media_type)
    def binary(ctx, value):
        return value if isinstance(value, bytes) else str(value).encode()
