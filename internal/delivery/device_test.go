package delivery

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"sluice/internal/fault"
	"sluice/internal/manifest"
)

// rows are the cells of the lines of docs/DELIVERY.md that begin with "| `", below a heading.
func rows(t *testing.T, heading string) [][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/DELIVERY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/DELIVERY.md has no %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var list [][]string
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "| `") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			cells[0] = strings.Trim(cells[0], "`")
			list = append(list, cells)
		}
	}
	return list
}

// devices are requests of each class: real user agents, and the hints that come with them.
var devices = map[Class][]map[string]string{
	Any: {
		{},
		{"User-Agent": "curl/8.5.0"},
		{"User-Agent": "Lavf/59.27.100"},
		{"User-Agent": "Mozilla/5.0"},
		{"Save-Data": "off", "Sec-CH-Viewport-Width": "360", "Sec-CH-DPR": "1"},
		{"Sec-CH-UA-Mobile": "1"},
	},
	Saver: {
		{"Save-Data": "on"},
		{"Save-Data": "On", "Sec-CH-UA-Mobile": "?1"},
		{"Save-Data": "on", "User-Agent": "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36"},
	},
	Phone: {
		{"Sec-CH-UA-Mobile": "?1"},
		{"Sec-CH-UA-Mobile": "?1", "Sec-CH-Viewport-Width": "360"},
		{"Sec-CH-UA-Mobile": "?1", "Sec-CH-Viewport-Width": "412", "Sec-CH-DPR": "2.625"},
		{"Sec-CH-UA-Mobile": "?1", "Sec-CH-Viewport-Width": "nan", "Sec-CH-DPR": "-1"},
		{"Sec-CH-UA-Mobile": "?1", "Sec-CH-Viewport-Width": "1e1", "Sec-CH-DPR": "1"},
		{"User-Agent": "Mozilla/5.0 (Android 14; Mobile; rv:132.0) Gecko/132.0 Firefox/132.0"},
		{"User-Agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36"},
	},
	PhoneSmall: {
		{"Sec-CH-UA-Mobile": "?1", "Sec-CH-Viewport-Width": "360", "Sec-CH-DPR": "2"},
		{"Sec-CH-UA-Mobile": "?1", "Viewport-Width": "360", "DPR": "1.5"},
		{"User-Agent": "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36", "Sec-CH-Viewport-Width": "320", "Sec-CH-DPR": "1.5"},
	},
	Desktop: {
		{"Sec-CH-UA-Mobile": "?0"},
		{"Sec-CH-UA-Mobile": "?0", "Sec-CH-Viewport-Width": "1281", "Sec-CH-DPR": "1"},
		{"Sec-CH-UA-Mobile": "?0", "Sec-CH-Viewport-Width": "800", "Sec-CH-DPR": "2"},
		{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"},
		{"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:132.0) Gecko/20100101 Firefox/132.0"},
		{"User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:132.0) Gecko/20100101 Firefox/132.0"},
		{"User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"},
		{"User-Agent": "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"},
	},
	DesktopSmall: {
		{"Sec-CH-UA-Mobile": "?0", "Sec-CH-Viewport-Width": "1280", "Sec-CH-DPR": "1"},
		{"Sec-CH-UA-Mobile": "?0", "Sec-CH-Viewport-Width": "640", "DPR": "2.0"},
	},
	IPhone: {
		{"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1"},
		{"User-Agent": "AppleCoreMedia/1.0.0.21G80 (iPhone; U; CPU OS 17_6 like Mac OS X; en_us)"},
	},
	Apple: {
		{"User-Agent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Safari/605.1.15"},
		{"User-Agent": "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.6 Mobile/15E148 Safari/604.1"},
		{"User-Agent": "AppleCoreMedia/1.0.0.23G93 (Macintosh; U; Intel Mac OS X 14_6; en_us)"},
	},
	TV: {
		{"User-Agent": "AppleCoreMedia/1.0.0.21M71 (Apple TV; U; CPU OS 17_6 like Mac OS X; en_us)"},
		{"User-Agent": "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36", "Sec-CH-UA-Mobile": "?0"},
		{"User-Agent": "Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0.4606.128 Safari/537.36 WebAppManager"},
		{"User-Agent": "Mozilla/5.0 (Linux; Android 9; AFTKA Build/PS7285) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120 Mobile Safari/537.36"},
	},
}

func TestEachRowOfTheTableIsWhatItsClassGets(t *testing.T) {
	t.Parallel()
	table := rows(t, "Classes")
	if len(table) != len(devices) {
		t.Errorf("%d rows of %d classes", len(table), len(devices))
	}
	for _, row := range table {
		class := Class(row[0])
		t.Run(row[0], func(t *testing.T) {
			t.Parallel()
			if len(devices[class]) == 0 {
				t.Fatal("no request is of this class")
			}
			for _, headers := range devices[class] {
				h := http.Header{}
				for name, value := range headers {
					h.Set(name, value)
				}
				if got := Classify(h.Get); got != class {
					t.Errorf("%v is %s", headers, got)
				}
			}
			c := class.Choice()
			largest, begins, order := "all", "as stored", "stored"
			if c.MaxResolution > 0 {
				largest = fmt.Sprint(c.MaxResolution)
			}
			switch c.Order {
			case manifest.Lowest:
				begins, order = "the smallest", "lowest"
			case manifest.Balanced:
				begins, order = fmt.Sprintf("%d kbit/s", c.Start/1000), "balanced"
			default:
			}
			set := "all"
			if c.Codecs != 0 {
				set = c.Codecs.String()
			}
			inTable, unknown := manifest.CodecsOf(strings.Fields(row[5])...)
			if row[5] == "all" {
				inTable, unknown = 0, ""
			}
			if row[2] != largest || row[3] != begins || row[4] != order || unknown != "" || inTable != c.Codecs {
				t.Errorf("the table says %q, the code %s, %s, %s, %s", row, largest, begins, order, set)
			}
		})
	}
}

// ladder is a playlist that tells the classes apart.
const ladder = `#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=4500000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080
1080p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=8000000,CODECS="avc1.640033,mp4a.40.2",RESOLUTION=3840x2160
2160p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6000000,CODECS="hvc1.2.4.L150.B0,mp4a.40.2",RESOLUTION=3840x2160
2160p-hevc/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1900000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720
720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=854x480
480p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360
360p/index.m3u8
`

func offer(t *testing.T, c manifest.Choice) string {
	t.Helper()
	out, err := c.Playlist([]byte(ladder))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutSuffix(strings.TrimSpace(line), "/index.m3u8"); ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func TestEachClassBeginsWhereItsRowSays(t *testing.T) {
	t.Parallel()
	for class, want := range map[Class]string{
		Any:          "1080p 2160p 2160p-hevc 720p 480p 360p",
		Saver:        "360p 480p",
		Phone:        "360p 1080p 720p 480p",
		PhoneSmall:   "360p 720p 480p",
		IPhone:       "360p 1080p 720p 480p",
		Desktop:      "720p 2160p 1080p 480p 360p",
		DesktopSmall: "720p 480p 360p",
		Apple:        "720p 2160p 2160p-hevc 1080p 480p 360p",
		TV:           "1080p 2160p 2160p-hevc 720p 480p 360p",
	} {
		if got := offer(t, class.Choice()); got != want {
			t.Errorf("%s is offered %s, want %s", class, got, want)
		}
	}
}

func TestParametersCountMoreThanTheClass(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class       Class
		query, want string
		key         string
	}{
		{Any, "", "1080p 2160p 2160p-hevc 720p 480p 360p", "stored"},
		{Any, "Policy=x&v=1", "1080p 2160p 2160p-hevc 720p 480p 360p", "stored"},
		{Any, "max_resolution=720", "720p 480p 360p", "max=720"},
		{Any, "order=balanced", "720p 2160p 2160p-hevc 1080p 480p 360p", "start=2000000;order=balanced"},
		{Any, "order=highest&codecs=hvc1", "2160p-hevc", "order=highest;codecs=hvc1"},
		{Any, "order=lowest&codecs=mp4a,avc1", "360p 480p 720p 1080p 2160p", "order=lowest;codecs=avc1+mp4a"},
		{Any, "order=lowest&codecs=avc1,mp4a,avc1", "360p 480p 720p 1080p 2160p", "order=lowest;codecs=avc1+mp4a"},
		{Saver, "max_resolution=2160&order=balanced", "720p 2160p 2160p-hevc 1080p 480p 360p", "max=2160;start=2000000;order=balanced"},
		{Phone, "max_resolution=144", "360p", "max=144;start=730000;order=balanced;codecs=avc1+av01+vp09+mp4a+opus+flac"},
	} {
		query, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		choice, err := Choose(c.class, query)
		if err != nil || choice.Key() != c.key {
			t.Errorf("%s?%s: %s %v", c.class, c.query, choice.Key(), err)
			continue
		}
		if got := offer(t, choice); got != c.want {
			t.Errorf("%s?%s: %s, want %s", c.class, c.query, got, c.want)
		}
		if got := offer(t, choice.Capped(480)); strings.Contains(got, "720p") || strings.Contains(got, "1080p") || strings.Contains(got, "2160p") {
			t.Errorf("%s?%s under a cap of 480: %s", c.class, c.query, got)
		}
	}
}

func TestAParameterThatIsNotInTheTableIsRefused(t *testing.T) {
	t.Parallel()
	codes := map[string]string{}
	for _, row := range rows(t, "Parameters") {
		codes[row[0]] = strings.Trim(row[2], "`")
	}
	errorTable, err := os.ReadFile("../../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range map[string][]string{
		"max_resolution": {"", "0", "719", "720p", "+720", "0720", " 720", "720 ", "-1", "99999999999999999999", "７20"},
		"codecs":         {"", "h264", "AVC1", "avc1,", ",avc1", "avc1, mp4a", "avc1.64001f", "avc1;mp4a", "all"},
		"order":          {"", "stored", "Lowest", "lowest,highest", "asc"},
	} {
		queries := []url.Values{{name: {"720", "720"}}, {name: {}}}
		if name == "max_resolution" {
			queries[0][name] = []string{"480", "720"}
		}
		for _, value := range values {
			queries = append(queries, url.Values{name: {value}})
		}
		for _, query := range queries {
			var f *fault.Error
			c, err := Choose(Desktop, query)
			if !errors.As(err, &f) || f.Code != codes[name] || f.Kind != fault.Invalid || codes[name] == "" {
				t.Errorf("%v: %v %v", query, c, err)
			}
		}
		if !strings.Contains(string(errorTable), "`"+codes[name]+"`") {
			t.Errorf("%s is not in docs/ERRORS.md", codes[name])
		}
		delete(codes, name)
	}
	if len(codes) > 0 {
		t.Errorf("untested: %v", codes)
	}
}

func TestTheTableListsEveryValueThatIsTaken(t *testing.T) {
	t.Parallel()
	for _, row := range rows(t, "Parameters") {
		values := strings.Split(row[1], ", ")
		var want []string
		switch row[0] {
		case "max_resolution":
			want = strings.Split(listed(resolutions), ", ")
		case "codecs":
			text, _, _ := strings.Cut(strings.TrimPrefix(row[1], "some of "), ", with ")
			values, want = strings.Split(text, ", "), manifest.FamilyNames()
		case "order":
			want = strings.Split(listed(orders), ", ")
		}
		if !slices.Equal(values, want) {
			t.Errorf("%s: the table says %q, the code %q", row[0], values, want)
		}
		for _, value := range want {
			if _, err := Choose(Any, url.Values{row[0]: {value}}); err != nil {
				t.Errorf("%s=%s: %v", row[0], value, err)
			}
		}
	}
}

func TestEveryHeaderThatIsReadIsNamedForCaches(t *testing.T) {
	t.Parallel()
	for _, list := range devices {
		for _, headers := range list {
			Classify(func(name string) string {
				if !slices.Contains(DeviceHeaders, name) {
					t.Errorf("%s is read, and not in DeviceHeaders", name)
				}
				return headers[name]
			})
		}
	}
	if got := DeviceHints(); got != "Sec-CH-Viewport-Width, Viewport-Width, Sec-CH-DPR, DPR" {
		t.Error(got)
	}
}
