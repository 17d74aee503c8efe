package ffmpeg

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/internal/video"
)

// maxStreams bounds what a demuxer may create where no limit was set.
const maxStreams = 32

// formats are the demuxers that may open a source: containers that hold their own media. Left out on purpose: everything
// that opens other files or addresses by name (hls, concat, dash, image2, rtsp, sdp, lavfi, subtitles with includes),
// everything that takes text (tty, ansi, ass, srt), and single pictures (image2pipe and its kin).
var formats = []string{
	"mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "dv", "ivf", "obu", "nut", "rm",
	"h264", "hevc", "mpegvideo", "m4v", "h263", "av1",
	"wav", "w64", "aiff", "caf", "mp3", "aac", "ac3", "eac3", "amr", "flac", "au", "dts", "wv", "ape", "tta",
}

// decoders are what may decode a source, by ffmpeg's decoder names. Left out: text and terminal art (ansi, bintext,
// xbin, idf) and the codecs of games. Pictures are here for cover art, and subtitles, because ffprobe 5.1 gives up on a file
// when the decoder of one of its streams may not be opened; neither is ever mapped.
var decoders = []string{
	"h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "libdav1d", "libaom-av1", "av1", "vp6", "vp6f", "vp6a",
	"mpeg1video", "mpeg2video", "mpegvideo", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2", "wmv3", "vc1",
	"h261", "h263", "h263i", "h263p", "flv", "theora", "mjpeg", "dvvideo", "prores", "dnxhd", "cfhd", "svq1", "svq3", "rv10", "rv20", "rv30", "rv40",
	"ffv1", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "qtrle", "rawvideo", "v210", "v410", "r210", "hap", "cinepak", "indeo3", "indeo5", "png",
	"aac", "aac_fixed", "aac_latm", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "ac3", "ac3_fixed", "eac3", "dca", "truehd", "mlp",
	"opus", "libopus", "vorbis", "libvorbis", "flac", "alac", "amrnb", "libopencore_amrnb", "amrwb", "libopencore_amrwb",
	"wmav1", "wmav2", "wmapro", "wmalossless", "wavpack", "ape", "tta", "cook", "speex", "libspeex", "nellymoser", "qdm2", "qdmc", "gsm", "gsm_ms", "ilbc",
	"adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_swf", "adpcm_yamaha", "g722", "g726", "mace3", "mace6",
	"pcm_s8", "pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_u16le", "pcm_u16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be",
	"bmp", "webp", "gif", "tiff",
	"ass", "ssa", "subrip", "srt", "mov_text", "webvtt", "text", "cc_dec", "dvbsub", "dvdsub", "pgssub", "xsub", "libzvbi_teletextdec",
	"pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "pcm_bluray", "pcm_dvd", "pcm_s16le_planar", "pcm_lxf", "s302m",
}

// guardArgs are the options that bound what a demuxer and its decoders may do, before any -i.
func guardArgs(limits video.Limits) []string {
	streams := maxStreams
	if limits.Streams > 0 {
		streams = limits.Streams
	}
	args := []string{
		"-protocol_whitelist", "file",
		"-format_whitelist", strings.Join(formats, ","),
		"-codec_whitelist", strings.Join(decoders, ","),
		"-max_streams", strconv.Itoa(streams),
	}
	if limits.Pixels > 0 {
		args = append(args, "-max_pixels", fmt.Sprint(limits.Pixels))
	}
	return args
}

// inputArgs are the guards, the options that belong to this input (seeking, say), and the input itself.
func inputArgs(limits video.Limits, path string, options ...string) []string {
	args := append(guardArgs(limits), options...)
	return append(args, "-i", "file:"+path)
}

// strip are the output options that leave subtitles, data, metadata and chapters of the source behind.
func strip() []string {
	return []string{"-sn", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"}
}
