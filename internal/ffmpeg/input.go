package ffmpeg

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/video"
)

// maxStreams bounds what a demuxer may create where no limit was set.
const maxStreams = 32

// formats are the demuxers that may open a source: containers that hold their own media. Left out on purpose: everything
// that opens other files or addresses by name (hls, concat, dash, imf, mlv, image2, rtsp, sdp, lavfi, subtitles with
// includes), everything that takes text (tty, ansi, ass, srt), single pictures (image2pipe and its kin), games, and raw
// data that its demuxer would not recognise. docs/FORMATS.md has the list with its reasons.
var formats = []string{
	"mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "live_flv", "kux", "asf", "ogg", "mxf",
	"gxf", "lxf", "dv", "ivf", "obu", "nut", "nuv", "nsv", "rm", "ivr", "wtv", "ty", "pva", "pmp", "dhav",
	"vivo", "mxg", "mtv", "mv", "smjpeg", "filmstrip", "flic", "cine", "r3d", "yuv4mpegpipe", "h264", "hevc",
	"mpegvideo", "m4v", "h263", "av1", "vc1", "vc1test", "dirac", "cavsvideo", "wav", "w64", "aiff", "caf",
	"mp3", "aac", "ac3", "eac3", "truehd", "mlp", "amr", "qcp", "flac", "au", "dts", "dtshd", "wv", "ape",
	"tta", "tak", "shn", "mpc", "mpc8", "oma", "aea", "dsf", "iff", "voc", "vqf", "xwma", "dss", "sox",
	"ircam", "nistsphere", "pvf", "avr",
}

// decoders are what may decode a source, by ffmpeg's decoder names: what cameras, editors, screen recorders, phones,
// broadcasters and archives write. docs/FORMATS.md names each one that is left out, with the reason; a test compares both
// with what ffmpeg has. Pictures are here for cover art, and subtitles, because ffprobe 5.1 gives up on a file when the
// decoder of one of its streams may not be opened; neither is ever mapped.
var decoders = slices.Concat(videoDecoders, audioDecoders, otherDecoders)

var videoDecoders = []string{
	"h264", "hevc", "vp8", "libvpx", "vp9", "libvpx-vp9", "libdav1d", "libaom-av1", "av1", "vp3", "vp4", "vp5",
	"vp6", "vp6f", "vp6a", "vp7", "mpeg1video", "mpeg2video", "mpegvideo", "mpeg4", "msmpeg4v1", "msmpeg4v2",
	"msmpeg4", "wmv1", "wmv2", "wmv3", "wmv3image", "vc1", "vc1image", "h261", "h263", "h263i", "h263p", "flv",
	"theora", "dirac", "snow", "cavs", "svq1", "svq3", "rv10", "rv20", "rv30", "rv40", "mimic", "vb", "mjpeg",
	"mjpegb", "jpegls", "jpeg2000", "libopenjpeg", "amv", "sp5x", "smvjpeg", "mxpeg", "aic", "avrn", "dvvideo",
	"prores", "dnxhd", "cfhd", "speedhq", "hqx", "hq_hqa", "notchlc", "pixlet", "mvdv", "mvha", "hap", "dxv",
	"ffv1", "huffyuv", "ffvhuff", "hymt", "utvideo", "magicyuv", "lagarith", "sheervideo", "ylc", "vble",
	"cllc", "loco", "zerocodec", "mszh", "zlib", "dxtory", "qtrle", "rpza", "smc", "8bps", "qdraw", "msrle",
	"msvideo1", "aasc", "cljr", "cyuv", "vcr1", "wnv1", "xl", "cinepak", "indeo2", "indeo3", "indeo4",
	"indeo5", "asv1", "asv2", "aura", "aura2", "qpeg", "ultimotion", "flic", "kgv1", "mv30", "mvc1", "mvc2",
	"sgirle", "prosumer", "imm4", "imm5", "agm", "clearvideo", "nuv", "frwu", "msp2", "ipu", "zmbv",
	"camtasia", "tscc2", "camstudio", "fraps", "flashsv", "flashsv2", "mss1", "mss2", "mts2", "msa1", "g2m",
	"tdsc", "vmnc", "screenpresso", "rscc", "scpr", "lscr", "mscc", "srgc", "rasc", "fmvc", "wcmv", "fic",
	"mwsc", "arbc", "m101", "rawvideo", "v210", "v210x", "v308", "v408", "v410", "r210", "r10k", "avrp",
	"avui", "ayuv", "y41p", "yuv4", "012v", "bitpacked", "targa", "targa_y216", "png",
}

var audioDecoders = []string{
	"aac", "aac_fixed", "aac_latm", "mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float", "mp3adu",
	"mp3adufloat", "mp3on4", "mp3on4float", "ac3", "ac3_fixed", "eac3", "dca", "truehd", "mlp", "dolby_e",
	"opus", "libopus", "vorbis", "libvorbis", "flac", "alac", "als", "wavpack", "ape", "tta", "tak", "shorten",
	"mpc7", "mpc8", "twinvq", "metasound", "sonic", "amrnb", "libopencore_amrnb", "amrwb", "libopencore_amrwb",
	"qcelp", "evrc", "gsm", "gsm_ms", "libgsm", "libgsm_ms", "ilbc", "g722", "g723_1", "g726", "g726le",
	"g729", "speex", "libspeex", "libcodec2", "siren", "msnsiren", "truespeech", "acelp.kelvin", "dss_sp",
	"sbc", "aptx", "aptx_hd", "wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "cook", "sipr", "ralf",
	"real_144", "real_288", "atrac1", "atrac3", "atrac3al", "atrac3plus", "atrac3plusal", "nellymoser", "qdm2",
	"qdmc", "on2avc", "imc", "iac", "mace3", "mace6", "dvaudio", "dst", "dsd_lsbf", "dsd_lsbf_planar",
	"dsd_msbf", "dsd_msbf_planar", "adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt", "adpcm_ima_dk3",
	"adpcm_ima_dk4", "adpcm_ima_amv", "adpcm_ima_smjpeg", "adpcm_ima_oki", "adpcm_agm", "adpcm_ct",
	"adpcm_swf", "adpcm_yamaha", "adpcm_sbpro_2", "adpcm_sbpro_3", "adpcm_sbpro_4", "pcm_s8", "pcm_s8_planar",
	"pcm_u8", "pcm_s16le", "pcm_s16be", "pcm_s16le_planar", "pcm_s16be_planar", "pcm_u16le", "pcm_u16be",
	"pcm_s24le", "pcm_s24be", "pcm_s24le_planar", "pcm_u24le", "pcm_u24be", "pcm_s32le", "pcm_s32be",
	"pcm_s32le_planar", "pcm_u32le", "pcm_u32be", "pcm_s64le", "pcm_s64be", "pcm_f16le", "pcm_f24le",
	"pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "pcm_vidc", "pcm_bluray",
	"pcm_dvd", "pcm_lxf", "pcm_s24daud", "s302m",
}

var otherDecoders = []string{
	"bmp", "webp", "gif", "tiff", "ass", "ssa", "subrip", "srt", "mov_text", "webvtt", "text", "cc_dec",
	"dvbsub", "dvdsub", "pgssub", "xsub", "libzvbi_teletextdec",
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
