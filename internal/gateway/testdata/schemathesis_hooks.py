"""Media types that schemathesis does not know how to send."""

import schemathesis

for media_type in (
    "application/pdf",
    "application/ocsp-request",
    "application/timestamp-query",
    "application/x-ndjson",
    "application/zip",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
):

    @schemathesis.serializer(media_type)
    def binary(ctx, value):
        return value if isinstance(value, bytes) else str(value).encode(errors="surrogatepass")
