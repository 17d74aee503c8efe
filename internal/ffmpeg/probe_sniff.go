package ffmpeg

import (
	"bytes"
	"unicode/utf8"

	"sluice/internal/fault"
)

const opProbe = "ffmpeg.probe"

// sniffSize is how many of a file's first bytes are looked at.
const sniffSize = 4096

// signature is how a kind of file that is no video begins.
type signature struct {
	at    int
	magic string
	what  string
}

var signatures = []signature{
	{0, "PK\x03\x04", "a ZIP archive"}, {0, "PK\x05\x06", "a ZIP archive"}, {0, "\x1f\x8b", "a gzip archive"}, {0, "7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{0, "Rar!", "a RAR archive"}, {0, "\xfd7zXZ", "an xz archive"}, {0, "BZh", "a bzip2 archive"}, {257, "ustar", "a tar archive"},
	{0, "%PDF", "a PDF document"}, {0, "\x7fELF", "a program"}, {0, "MZ", "a program"},
	{0, "\xff\xd8\xff", "a JPEG image"}, {0, "\x89PNG\r\n\x1a\n", "a PNG image"}, {0, "GIF87a", "a GIF image"}, {0, "GIF89a", "a GIF image"},
	{0, "BM", "a BMP image"}, {0, "II*\x00", "a TIFF image"}, {0, "MM\x00*", "a TIFF image"}, {0, "\x00\x00\x01\x00\x01", "an icon"}, {8, "WEBP", "a WebP image"},
	{0, "8BPS", "a Photoshop image"}, {4, "ftypavif", "an AVIF image"}, {4, "ftypheic", "a HEIC image"}, {4, "ftypheix", "a HEIC image"}, {4, "ftypmif1", "a HEIF image"},
}

var playlists = []string{"#EXTM3U", "<MPD", "<SmoothStreamingMedia", "[playlist]", "ffconcat"}

// sniff refuses, by the first bytes of a file and never by its name, what cannot be a video. What it lets through may
// still be none.
func sniff(head []byte) error {
	if len(head) == 0 {
		return notMedia("The file is empty. Upload it again.")
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	for _, p := range playlists {
		if bytes.HasPrefix(text, []byte(p)) {
			return notMedia("The file is a playlist, which names media elsewhere. Upload the media file itself.")
		}
	}
	for _, s := range signatures {
		if len(head) >= s.at && bytes.HasPrefix(head[s.at:], []byte(s.magic)) {
			return notMedia("The file is " + s.what + ", not a video or audio file. Upload the media file itself.")
		}
	}
	if isText(head) {
		return notMedia("The file is text, not a video or audio file. Upload the media file itself.")
	}
	return nil
}

// isText reports whether head is all printable UTF-8.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		switch {
		case r == utf8.RuneError && n == 1:
			return len(head) < utf8.UTFMax && !utf8.FullRune(head) // cut in the middle of a letter
		case r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f':
			return false
		}
		head = head[n:]
	}
	return true
}

func notMedia(message string) error {
	return fault.New(fault.Invalid, opProbe, "not_media", message, nil)
}
