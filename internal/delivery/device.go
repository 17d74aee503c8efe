package delivery

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/fault"
	"sluice/internal/manifest"
)

// Class is a sort of device, one of a short list, so that what is made for one can be kept for all of its sort.
// docs/DELIVERY.md says how each is told and what it is offered.
type Class string

// The classes.
const (
	Any          Class = "any" // nothing is known: the manifest as it is stored
	Saver        Class = "saver"
	Phone        Class = "phone"
	PhoneSmall   Class = "phone-small"
	IPhone       Class = "iphone"
	Desktop      Class = "desktop"
	DesktopSmall Class = "desktop-small"
	Apple        Class = "apple"
	TV           Class = "tv"
)

// DeviceHeaders are the request headers that Classify reads: what an answer that depends on the class names in Vary. The first ones are the
// hints that a browser sends only if it was asked to by Accept-CH (RFC 8942 §3.1).
var DeviceHeaders = []string{"Sec-CH-Viewport-Width", "Viewport-Width", "Sec-CH-DPR", "DPR", "Sec-CH-UA-Mobile", "Save-Data", "User-Agent"}

// Accept-CH asks for as many of DeviceHeaders.
const hintsToAsk = 4

// DeviceHints is the value of Accept-CH that asks for what Classify can use and browsers don't send unasked.
func DeviceHints() string { return strings.Join(DeviceHeaders[:hintsToAsk], ", ") }

// What narrow screens are, in device pixels. A phone is held upright, so that its width is the short side; a window that is 1280
// wide shows 1280×720.
const (
	narrowPhone   = 720
	narrowDesktop = 1280
)

// Average bits a second of the rung to begin with: what Apple's HLS Authoring Specification wants to be the default variant for cellular networks (1.32b) and
// for Wi-Fi (1.32a); a television hangs on the latter or on a cable, and shows every fault.
const (
	cellular = 730_000
	wifi     = 2_000_000
	cable    = 5_000_000
)

// The least that these devices have decoded for years. Players leave out by themselves what they can't; a device of another kind may ask for more by ?codecs=.
var (
	webCodecs   = families("avc1", "av01", "vp09", "mp4a", "opus", "flac")
	appleCodecs = families("avc1", "hvc1", "mp4a", "ac-3", "ec-3", "flac")
	tvCodecs    = families("avc1", "hvc1", "mp4a", "ac-3", "ec-3")
)

func families(names ...string) manifest.Codecs {
	set, unknown := manifest.CodecsOf(names...)
	if unknown != "" {
		panic("delivery: " + unknown + " is no codec") // the lists above are wrong
	}
	return set
}

// Choice is what the class is offered.
func (c Class) Choice() manifest.Choice {
	switch c {
	case Saver:
		return manifest.Choice{MaxResolution: 480, Order: manifest.Lowest}
	case Phone:
		return manifest.Choice{MaxResolution: 1080, Order: manifest.Balanced, Start: cellular, Codecs: webCodecs}
	case PhoneSmall:
		return manifest.Choice{MaxResolution: 720, Order: manifest.Balanced, Start: cellular, Codecs: webCodecs}
	case IPhone:
		return manifest.Choice{MaxResolution: 1080, Order: manifest.Balanced, Start: cellular, Codecs: appleCodecs}
	case Desktop:
		return manifest.Choice{Order: manifest.Balanced, Start: wifi, Codecs: webCodecs}
	case DesktopSmall:
		return manifest.Choice{MaxResolution: 720, Order: manifest.Balanced, Start: wifi, Codecs: webCodecs}
	case Apple:
		return manifest.Choice{Order: manifest.Balanced, Start: wifi, Codecs: appleCodecs}
	case TV:
		return manifest.Choice{Order: manifest.Balanced, Start: cable, Codecs: tvCodecs}
	case Any:
	}
	return manifest.Choice{}
}

// Classify tells the class of a device by the headers of its request; get is http.Header.Get. Hints are heard first and the user
// agent is asked where there are none. What makes no sense counts as not said: a header never makes a request fail.
func Classify(get func(header string) string) Class {
	agent := get("User-Agent")
	has := func(marks ...string) bool {
		return slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(agent, mark) })
	}
	switch mobile := get("Sec-CH-UA-Mobile"); {
	case strings.EqualFold(get("Save-Data"), "on"):
		return Saver
	case has("TV", "Tizen", "Web0S", "CrKey", "Roku", "BRAVIA", "AFT", "PlayStation", "Xbox"):
		return TV
	case mobile == "?1":
		return narrow(get, narrowPhone, PhoneSmall, Phone)
	case mobile == "?0":
		return narrow(get, narrowDesktop, DesktopSmall, Desktop)
	case has("iPhone", "iPod"):
		return IPhone
	case has("Mobile") && has("Android"):
		return narrow(get, narrowPhone, PhoneSmall, Phone)
	case has("iPad"), has("Macintosh", "Mac OS X") && !has("Firefox/", "Chrome/", "Chromium/"):
		return Apple
	case has("Android", "Windows NT", "X11;", "CrOS", "Macintosh"):
		return narrow(get, narrowDesktop, DesktopSmall, Desktop)
	default:
		return Any
	}
}

// narrow is the class small for a screen of at most so many device pixels across, if the hints tell both its width and its density.
func narrow(get func(string) string, most float64, small, other Class) Class {
	width, ok := hint(get, "Sec-CH-Viewport-Width", "Viewport-Width")
	density, ok2 := hint(get, "Sec-CH-DPR", "DPR")
	if ok && ok2 && width*density <= most {
		return small
	}
	return other
}

// hint is the first of some headers that is a number above 0 (RFC 9651 §3.3: at most 15 digits and a point).
func hint(get func(string) string, names ...string) (float64, bool) {
	for _, name := range names {
		s := get(name)
		if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && len(s) <= 16 && strings.Trim(s, "0123456789.") == "" {
			return n, true
		}
	}
	return 0, false
}

// resolutions are what ?max_resolution= may be: few, so that there are few answers to keep.
var resolutions = []int{144, 240, 360, 480, 540, 720, 1080, 1440, 2160, 4320}

// orders are what ?order= may be.
var orders = []manifest.Order{manifest.Balanced, manifest.Highest, manifest.Lowest}

// Choose is what a request is offered: its parameters max_resolution, codecs and order where it has them, its class's for the rest. Other
// parameters are others' business. Choice.Key is the key under which the answer may be kept, and Choice.Capped puts a cap on it that no parameter lifts.
//
// Each parameter may come once and has one spelling; else the fault is Invalid: bad_max_resolution, bad_codecs or bad_order.
func Choose(class Class, query url.Values) (manifest.Choice, error) {
	c := class.Choice()
	if s, asked, ok := single(query, "max_resolution"); asked {
		n, err := strconv.Atoi(s)
		if !ok || err != nil || !slices.Contains(resolutions, n) || strconv.Itoa(n) != s {
			return c, refuse("bad_max_resolution", "max_resolution is one of "+listed(resolutions)+", once.")
		}
		c.MaxResolution = n
	}
	if s, asked, ok := single(query, "codecs"); asked {
		set, unknown := manifest.CodecsOf(strings.Split(s, ",")...)
		if !ok || unknown != "" || set == 0 {
			return c, refuse("bad_codecs", "codecs is a list of "+listed(manifest.FamilyNames())+" with commas between, once.")
		}
		c.Codecs = set
	}
	if s, asked, ok := single(query, "order"); asked {
		if !ok || !slices.Contains(orders, manifest.Order(s)) {
			return c, refuse("bad_order", "order is one of "+listed(orders)+", once.")
		}
		c.Order = manifest.Order(s)
		if c.Start == 0 {
			c.Start = wifi
		}
	}
	return c, nil
}

// single is a parameter that may come once: whether it is there, and whether just once.
func single(query url.Values, name string) (value string, asked, ok bool) {
	all, asked := query[name]
	return query.Get(name), asked, len(all) == 1
}

func listed[T any](all []T) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(all), "[]"), " ", ", ")
}

func refuse(code, message string) error {
	return fault.New(fault.Invalid, "delivery.choose", code, message, nil)
}
