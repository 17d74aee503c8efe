package upload

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/fault"
)

// StorageEvent is somebody's word that an object may have been written. It is no fact: what is there, only the storage tells.
type StorageEvent struct {
	Bucket string `json:"bucket"`
	// Keys are the keys that may be meant, likeliest first: senders write "a b+c" as "a+b%2Bc", "a%20b+c" or as it is, and none says which.
	Keys []string `json:"keys"`
}

// buckets is the folder that a SeaweedFS filer keeps its buckets in (filer.toml, buckets_folder).
const buckets = "/buckets/"

// message is a body in one of the known forms; which one it is, its fields tell.
type message struct {
	// Amazon S3, MinIO and versitygw (Amazon S3 User Guide, "Event message structure").
	Records []struct {
		Name string `json:"eventName"` // "ObjectCreated:Put", or "s3:ObjectCreated:Put"
		S3   struct {
			Bucket struct {
				Name string `json:"name"`
			} `json:"bucket"`
			Object struct {
				Key string `json:"key"`
			} `json:"object"`
		} `json:"s3"`
	} `json:"Records"`
	// The event that Amazon S3 and versitygw try a new destination with.
	Event string `json:"Event"` // "s3:TestEvent"
	// EventBridge (Amazon S3 User Guide, "EventBridge event message structure").
	DetailType string          `json:"detail-type"` // "Object Created"
	Source     string          `json:"source"`      // "aws.s3"
	Detail     json.RawMessage `json:"detail"`
	// SeaweedFS's filer (weed/notification/webhook).
	FilerEvent string          `json:"event_type"` // "create", "update", "rename", "delete"
	FilerKey   json.RawMessage `json:"key"`        // "/buckets/uploads/a.mp4"
	FilerBody  json.RawMessage `json:"message"`
}

// detail is what an EventBridge event of Amazon S3 carries.
type detail struct {
	Bucket struct {
		Name string `json:"name"`
	} `json:"bucket"`
	Object struct {
		Key string `json:"key"` // as it is: EventBridge encodes no keys
	} `json:"object"`
}

// change is what a filer says of an entry.
type change struct {
	New *struct {
		Name      string `json:"name"`
		Directory bool   `json:"is_directory"`
	} `json:"new_entry"`
	Parent string `json:"new_parent_path"`
}

// ParseStorageEvents reads a message about objects as Amazon S3, EventBridge, MinIO, versitygw and SeaweedFS's filer write it, and returns what it says was
// written. Events of other kinds, and those that only try the way, are no notices and no error. fault.Invalid, code "bad_event", where the body is none of these.
func ParseStorageEvents(body []byte) ([]StorageEvent, error) {
	var m message
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, badEvent(err)
	}
	switch {
	case m.Records != nil:
		return m.records()
	case m.Event != "":
		return nil, nil
	case m.DetailType != "":
		return m.bridged()
	case m.FilerEvent != "":
		return m.filer()
	default:
		return nil, badEvent(nil)
	}
}

func (m message) records() ([]StorageEvent, error) {
	var all []StorageEvent
	for _, r := range m.Records {
		name := strings.TrimPrefix(r.Name, "s3:")
		if name == "" {
			return nil, badEvent(nil)
		}
		if strings.HasPrefix(name, "ObjectCreated:") {
			all = append(all, StorageEvent{Bucket: r.S3.Bucket.Name, Keys: spellings(r.S3.Object.Key)})
		}
	}
	return checked(all)
}

func (m message) bridged() ([]StorageEvent, error) {
	if m.Source != "aws.s3" || m.DetailType != "Object Created" {
		return nil, nil
	}
	var d detail
	if err := json.Unmarshal(m.Detail, &d); err != nil {
		return nil, badEvent(err)
	}
	return checked([]StorageEvent{{Bucket: d.Bucket.Name, Keys: []string{d.Object.Key}}})
}

// filer reads what a filer says of a path: a bucket's folder holds its objects, and what begins with a dot there is the filer's own.
func (m message) filer() ([]StorageEvent, error) {
	var c change
	var path string
	if err := errors.Join(json.Unmarshal(m.FilerBody, &c), json.Unmarshal(m.FilerKey, &path)); err != nil {
		return nil, badEvent(err)
	}
	if c.New == nil || c.New.Directory {
		return nil, nil
	}
	if c.Parent != "" && c.New.Name != "" { // after a rename the key is where it was
		path = strings.TrimSuffix(c.Parent, "/") + "/" + c.New.Name
	}
	within, ok := strings.CutPrefix(path, buckets)
	bucket, key, inside := strings.Cut(within, "/")
	if !ok || !inside || strings.HasPrefix(bucket, ".") || strings.HasPrefix(key, ".uploads/") {
		return nil, nil
	}
	return checked([]StorageEvent{{Bucket: bucket, Keys: []string{key}}})
}

// checked refuses notices that name nothing.
func checked(all []StorageEvent) ([]StorageEvent, error) {
	for _, n := range all {
		if n.Bucket == "" || n.Keys[0] == "" {
			return nil, badEvent(nil)
		}
	}
	return all, nil
}

// spellings are the keys that a key in a record may stand for.
func spellings(key string) []string {
	var all []string
	for _, decode := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape, func(s string) (string, error) { return s, nil }} {
		if s, err := decode(key); err == nil && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

func badEvent(cause error) error {
	return fault.New(fault.Invalid, "upload.notice", "bad_event",
		"The body is no event of a storage that is known here: send those of Amazon S3, EventBridge, MinIO, versitygw or SeaweedFS as they are.", cause)
}
