#!/bin/sh
# versitygw 1.8.0 (posix backend): a CompleteMultipartUpload that is answered 200 is not always one that made an object,
# and a key can be
# stored once and not again.
#
# 1. Completing an upload that was aborted answers 200 with a fresh ETag wherever an object is under the key; the object
# is the old one.
#      S3 answers 404 NoSuchUpload (API reference, CompleteMultipartUpload).
# 2. A key whose last element has 228 to 255 bytes can be PUT once; the second PUT answers 409
# ExistingObjectIsDirectory, for the name under which
#      the new object is linked first is 28 bytes longer.
#
# Seen 2026-11-30 with versitygw v1.8.0, Debian 12, ext4:
#   complete after abort: 200 "…-1", the object still holds "older"
#   PUT of 228 bytes: 200, again: 409
#
# Exits 1 when that is no longer so. Needs go, and curl 7.75 or newer.
set -eu
dir=$(mktemp -d)
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$dir"' EXIT
GOBIN=$dir GOFLAGS= go install github.com/versity/versitygw/cmd/versitygw@v1.8.0
mkdir -p "$dir/root/uploads"
port=$((20000 + $$ % 20000))
ROOT_ACCESS_KEY=access ROOT_SECRET_KEY=not-a-secret "$dir/versitygw" --port "127.0.0.1:$port" posix "$dir/root" >"$dir/log" 2>&1 &
server=$!
url=http://127.0.0.1:$port/uploads
s3() { curl -s --user access:not-a-secret --aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' "$@"; }
status() { s3 -o /dev/null -w '%{http_code}' "$@"; }
for _ in $(seq 300); do
	test "$(status "$url/")" = 200 && break
	sleep 0.1
done

test "$(status -X PUT --data-binary older "$url/a")" = 200
id=$(s3 -X POST "$url/a?uploads=" | sed -n 's:.*<UploadId>\(.*\)</UploadId>.*:\1:p')
etag=$(s3 -D - -o /dev/null -X PUT --data-binary newer "$url/a?partNumber=1&uploadId=$id" | tr -d '\r' | sed -n 's/^[Ee][Tt]ag: *"\(.*\)"/\1/p')
test "$(status -X DELETE "$url/a?uploadId=$id")" = 204
done=$(s3 -w ' %{http_code}' -X POST "$url/a?uploadId=$id" --data-binary \
	"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>$etag</ETag></Part></CompleteMultipartUpload>")
holds=$(s3 "$url/a")
echo "complete after abort: ${done##* } $(echo "$done" | sed -n 's:.*<ETag>\(.*\)</ETag>.*:\1:p'), the object still holds \"$holds\""
long=$(printf 'n%.0s' $(seq 228))
first=$(status -X PUT --data-binary older "$url/$long")
second=$(status -X PUT --data-binary newer "$url/$long")
echo "PUT of 228 bytes: $first, again: $second"
test "${done##* }" = 200 && test "$holds" = older && test "$first" = 200 && test "$second" = 409
