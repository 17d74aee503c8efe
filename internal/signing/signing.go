// Package signing says who may fetch what, and until when, by Amazon CloudFront's documented rules for private content, so
// that a CloudFront distribution with the same keys and our own edge give the same answer. The rules are those of the CloudFront
// Developer Guide, "Create a signed URL using a canned policy", "… using a custom policy", "Use signed cookies" and "Specify
// signers"; comments name the page where a rule comes from.
//
// A policy names a resource with wildcards and conditions; a KeyPair signs it; what a request then carries is a Credential, in
// its query (FromQuery) or its cookies (FromCookies). The edge normalises a path once (Normalize), verifies that string
// (KeyRing.Verify) and serves that string.
//
// Promise. Nothing is accepted that no key of the ring has signed, or outside of the resource, times and addresses of the
// policy. Everything is a value: no clock, no files, no state of the package; a Request brings its own time. What is read
// is read strictly: one spelling of everything, one statement, no key twice, nothing unknown, nothing behind the end.
//
// Cost. Authenticate does the one public-key operation (see docs/adr/0008-signed-manifests.md for figures) and gives a Grant, which the
// edge may keep by its Credential: Grant.Check, which every request needs, allocates nothing.
//
// Failure. Every refusal is a fault.Error of kind Forbidden with a stable code (docs/ERRORS.md), made once: refusing allocates
// nothing either. None repeats what the client sent.
//
// Where we differ from CloudFront, always by refusing more: no backslash in a policy, no wildcard in a canned URL that we
// sign, no resource but of http and https, no parameter or cookie twice. IpAddress may name IPv6 networks; CloudFront
// knows IPv4 only, so don't let such policies reach it.
package signing

import "sluice/internal/fault"

// refuse makes a refusal; they are made once, because an attacker can cause many.
func refuse(code, message string) *fault.Error {
	return fault.New(fault.Forbidden, "signing.verify", code, message, nil)
}

// Refusals of a request. A test compares them by code.
var (
	errMissing    = refuse("signature_missing", "This address needs a signature, and the request has none; ask for a signed URL or cookies.")
	errIncomplete = refuse("signature_incomplete",
		"A signature needs either Policy or Expires, and Signature and Key-Pair-Id; use the signed URL or all of the cookies as they were given.")
	errDuplicate  = refuse("signature_duplicate", "A parameter or cookie of the signature is there twice; remove the older one.")
	errMalformed  = refuse("signature_malformed", "The signature isn't in CloudFront's form; use it as it was given.")
	errSignature  = refuse("signature_invalid", "The signature doesn't fit its policy or address; use both as they were given.")
	errUnknownKey = refuse("key_unknown", "No key pair here has this id; ask for a new signature.")
	errRetired    = refuse("key_retired", "The key pair of this signature is retired; ask for a new signature.")

	errPolicyLarge     = refuse("policy_too_large", "The policy is longer than 4096 bytes; sign a shorter one.")
	errPolicyMalformed = refuse("policy_malformed", "The policy isn't the JSON that CloudFront documents; write it exactly as documented, without escapes.")
	errPolicyTwice     = refuse("policy_duplicate_key", "The policy has a key twice; write each once.")
	errPolicyUnknown   = refuse("policy_unknown_key", "The policy has a key or condition that isn't known; use Resource, DateLessThan, DateGreaterThan and IpAddress.")
	errPolicyMany      = refuse("policy_statements", "The policy must have exactly one statement; sign one policy for each resource.")
	errPolicyResource  = refuse("policy_bad_resource", "The policy's resource isn't an http or https URL of plain characters; percent-encode what isn't plain.")
	errPolicyExpiry    = refuse("policy_no_expiry", "The policy has no DateLessThan; say when it ends.")
	errPolicyDate      = refuse("policy_bad_date", "A date of the policy isn't a whole number of seconds since 1970; write it without quotes.")
	errPolicyAddress   = refuse("policy_bad_ip", "The policy's SourceIp isn't an address or CIDR range; write one such as 192.0.2.0/24.")

	errExpired  = refuse("policy_expired", "The time of this signature is over; ask for a new one.")
	errEarly    = refuse("policy_not_yet_valid", "The time of this signature has not begun; wait, or ask for another.")
	errClient   = refuse("policy_wrong_ip", "This signature is for other addresses than the one that asks; ask for a new one from here.")
	errResource = refuse("policy_wrong_resource", "This signature is for something else; ask for one that covers this address.")
)

// Missing is the refusal of a request that carries no credential at all.
func Missing() error { return errMissing }
