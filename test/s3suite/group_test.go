package s3suite

import "github.com/versity/versitygw/tests/integration"

// Why cases are left out.
const (
	fixedBuckets   = "the buckets are fixed, nobody makes or removes one"
	bucketSettings = "buckets have no settings of their own"
	noACL          = "no ACLs: access is by key, presigned URL or the edge"
	noPolicy       = "no bucket policies: access is by key, presigned URL or the edge"
	ownCORS        = "CORS is the server's setting, not a bucket's"
	noWebsite      = "no website hosting"
	noLock         = "no object lock, retention or legal hold"
	noVersions     = "no versions: an object is replaced"
	oneAccount     = "one account, no others to make or refuse"
	unsigned       = "what carries no SigV4 signature is refused, and forms are not supported"
	oddKey         = "a key that no object can have is refused with InvalidArgument and a sentence; the suite wants the code 400"
	needsTool      = "the case runs a program of versitygw's"
	onePart        = "a joined object is one part, its parts' sizes are not kept"
	amazonSays     = "a failed condition on a copy's source is 412, as Amazon's reference says; the suite wants 304"
	partChecksum   = "a copied part brings no checksum for an upload that asks for one of each part"
	slashes        = "a key that begins with a slash, or has two in a row, is refused: it names another key's file"
	folders        = "a key and the same with a closing slash are one file's name"
	longKey        = "a key that is too long is refused with a sentence that names the limit; the suite wants Amazon's words"
	unordered      = "uploads of one key that began within one tick of the clock come in any order"
)

// group is a group of cases as the suite has it.
type group struct {
	name  string
	run   func(*integration.TestState)
	quick bool              // run by make test
	out   string            // why the whole group is left out; its cases are run and may end as they like
	but   map[string]string // why single cases are left out, by name; they must fail
}

// groups are those of the suite's full flow, in its order, and those for files ("Posix").
var groups = []group{
	{name: "Authentication", run: integration.TestAuthentication, quick: true, but: map[string]string{
		"Authentication_date_mismatch": needsTool,
	}},
	{name: "PresignedAuthentication", run: integration.TestPresignedAuthentication, quick: true},
	{name: "CreateBucket", run: integration.TestCreateBucket, out: fixedBuckets},
	{name: "HeadBucket", run: integration.TestHeadBucket, quick: true},
	{name: "ListBuckets", run: integration.TestListBuckets, out: fixedBuckets},
	{name: "DeleteBucket", run: integration.TestDeleteBucket, out: fixedBuckets},
	{name: "PutBucketOwnershipControls", run: integration.TestPutBucketOwnershipControls, out: bucketSettings},
	{name: "GetBucketOwnershipControls", run: integration.TestGetBucketOwnershipControls, out: bucketSettings},
	{name: "DeleteBucketOwnershipControls", run: integration.TestDeleteBucketOwnershipControls, out: bucketSettings},
	{name: "PutBucketTagging", run: integration.TestPutBucketTagging, out: bucketSettings},
	{name: "GetBucketTagging", run: integration.TestGetBucketTagging, out: bucketSettings},
	{name: "DeleteBucketTagging", run: integration.TestDeleteBucketTagging, out: bucketSettings},
	{name: "GetBucketLocation", run: integration.TestGetBucketLocation, but: map[string]string{
		"GetBucketLocation_no_access": oneAccount,
	}},
	{name: "PutObject", run: integration.TestPutObject, quick: true, but: map[string]string{
		"PutObject_with_object_lock":         noLock,
		"PutObject_object_acl_not_supported": oneAccount,
		"PutObject_invalid_object_names":     oddKey,
	}},
	{name: "HeadObject", run: integration.TestHeadObject, but: map[string]string{
		"HeadObject_ranged_with_checksum_mode": onePart,
		"HeadObject_overrides_fail_public":     noPolicy,
		"HeadObject_mp_part_number_success":    onePart,
	}},
	{name: "GetObjectAttributes", run: integration.TestGetObjectAttributes, quick: true},
	{name: "GetObject", run: integration.TestGetObject, but: map[string]string{
		"GetObject_ranged_with_checksum_mode": onePart,
		"GetObject_overrides_fail_public":     noPolicy,
		"GetObject_mp_part_number_success":    onePart,
	}},
	{name: "ListObjects", run: integration.TestListObjects, quick: true},
	{name: "ListObjectsV2", run: integration.TestListObjectsV2, quick: true},
	{name: "ListObjectVersions_VD", run: integration.TestListObjectVersions_VD, out: noVersions},
	{name: "DeleteObject", run: integration.TestDeleteObject, quick: true},
	{name: "DeleteObjects", run: integration.TestDeleteObjects, quick: true},
	{name: "CopyObject", run: integration.TestCopyObject, quick: true, but: map[string]string{
		"CopyObject_not_owned_source_bucket":  oneAccount,
		"CopyObject_missing_bucket_lock":      noLock,
		"CopyObject_with_legal_hold":          noLock,
		"CopyObject_with_retention_lock":      noLock,
		"CopyObject_conditional_reads":        amazonSays,
		"CopyObject_object_acl_not_supported": oneAccount,
	}},
	{name: "PutObjectTagging", run: integration.TestPutObjectTagging, quick: true},
	{name: "GetObjectTagging", run: integration.TestGetObjectTagging, quick: true},
	{name: "DeleteObjectTagging", run: integration.TestDeleteObjectTagging, quick: true},
	{name: "CreateMultipartUpload", run: integration.TestCreateMultipartUpload, quick: true, but: map[string]string{
		"CreateMultipartUpload_with_object_lock":         noLock,
		"CreateMultipartUpload_object_acl_not_supported": oneAccount,
	}},
	{name: "UploadPart", run: integration.TestUploadPart, quick: true},
	{name: "UploadPartCopy", run: integration.TestUploadPartCopy, quick: true, but: map[string]string{
		"UploadPartCopy_should_copy_the_checksum":      partChecksum,
		"UploadPartCopy_should_calculate_the_checksum": partChecksum,
		"UploadPartCopy_conditional_reads":             amazonSays,
	}},
	{name: "ListParts", run: integration.TestListParts},
	{name: "ListMultipartUploads", run: integration.TestListMultipartUploads, but: map[string]string{
		"ListMultipartUploads_keyMarker_not_from_list": unordered,
	}},
	{name: "AbortMultipartUpload", run: integration.TestAbortMultipartUpload, quick: true},
	{name: "CompleteMultipartUpload", run: integration.TestCompleteMultipartUpload},
	{name: "PutBucketAcl", run: integration.TestPutBucketAcl, out: noACL},
	{name: "GetBucketAcl", run: integration.TestGetBucketAcl, out: noACL},
	{name: "PutBucketPolicy", run: integration.TestPutBucketPolicy, out: noPolicy},
	{name: "GetBucketPolicy", run: integration.TestGetBucketPolicy, out: noPolicy},
	{name: "DeleteBucketPolicy", run: integration.TestDeleteBucketPolicy, out: noPolicy},
	{name: "PutBucketCors", run: integration.TestPutBucketCors, out: ownCORS},
	{name: "GetBucketCors", run: integration.TestGetBucketCors, out: ownCORS},
	{name: "DeleteBucketCors", run: integration.TestDeleteBucketCors, out: ownCORS},
	{name: "PutBucketWebsite", run: integration.TestPutBucketWebsite, out: noWebsite},
	{name: "GetBucketWebsite", run: integration.TestGetBucketWebsite, out: noWebsite},
	{name: "DeleteBucketWebsite", run: integration.TestDeleteBucketWebsite, out: noWebsite},
	{name: "PreflightOPTIONSEndpoint", run: integration.TestPreflightOPTIONSEndpoint, out: ownCORS},
	{name: "PutObjectLockConfiguration", run: integration.TestPutObjectLockConfiguration, out: noLock},
	{name: "GetObjectLockConfiguration", run: integration.TestGetObjectLockConfiguration, out: noLock},
	{name: "PutObjectRetention", run: integration.TestPutObjectRetention, out: noLock},
	{name: "GetObjectRetention", run: integration.TestGetObjectRetention, out: noLock},
	{name: "PutObjectLegalHold", run: integration.TestPutObjectLegalHold, out: noLock},
	{name: "GetObjectLegalHold", run: integration.TestGetObjectLegalHold, out: noLock},
	{name: "WORMProtection", run: integration.TestWORMProtection, out: noLock},
	{name: "AccessControl", run: integration.TestAccessControl, out: noPolicy},
	{name: "Router", run: integration.TestRouter, out: unsigned},
	{name: "PostObject", run: integration.TestPostObject, out: unsigned},
	{name: "UnsignedStreaminPayloadTrailer", run: integration.TestUnsignedStreaminPayloadTrailer},
	{name: "SignedStreaminPayload", run: integration.TestSignedStreaminPayload, quick: true},
	{name: "SignedStreaminPayloadTrailer", run: integration.TestSignedStreaminPayloadTrailer, quick: true},
	{name: "PublicBuckets", run: integration.TestPublicBuckets, out: noACL},
	{name: "GatewayIAM", run: integration.TestGatewayIAM, out: oneAccount},
	{name: "Server", run: integration.TestServer, quick: true},
	{name: "Posix", run: integration.TestPosix, but: map[string]string{
		"PutObject_name_too_long":                               longKey,
		"PutObject_with_slashes":                                slashes,
		"CopyObject_overwrite_same_dir_object":                  folders,
		"CopyObject_overwrite_same_file_object":                 folders,
		"VersioningDisabled_PutBucketVersioning_not_configured": noVersions,
	}},
}
