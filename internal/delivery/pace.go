package delivery

import (
	"io"
	"math"
	"net/http"
	"time"
)

const (
	// stride is how much a client has to take within Config.Stall, or is cut off: in half a minute a rung for the slowest of phones needs twice as much.
	stride = 256 << 10
	// usualStall is Config.Stall where that is 0.
	usualStall = 30 * time.Second
)

// paced is an answer that has to be taken: a client that reads nothing, or a byte now and then, doesn't hold a connection and a file. What is sent by
// sendfile stays so.
type paced struct {
	http.ResponseWriter
	control *http.ResponseController
	within  time.Duration // for each stride
	wire    *sendfileConn // that the whole answer went out by
	sent    bool          // it did
}

func pace(w http.ResponseWriter, within time.Duration) *paced {
	return &paced{ResponseWriter: w, control: http.NewResponseController(w), within: within}
}

// extend gives the client its time for the next stride. A writer without deadlines is not on a network.
func (p *paced) extend() { _ = p.control.SetWriteDeadline(time.Now().Add(p.within)) }

// end sends what is left, while there is a deadline, and leaves none to the connection's next request. Who can't be sent it is gone.
func (p *paced) end() {
	if !p.sent {
		p.extend()
		_ = p.control.Flush()
	}
	if p.wire == nil || p.wire.late {
		_ = p.control.SetWriteDeadline(time.Time{})
	}
}

// send sends a file of which nothing has been sent yet, and its header, by a wire, which sees to the deadlines. A file that breaks off ends the connection: net/http
// compares with what the header says.
func (p *paced) send(o *fileResponse, on *sendfileConn) {
	on.more, on.within = true, p.within
	p.wire = on
	p.WriteHeader(http.StatusOK)
	if p.sent = p.control.Flush() == nil; p.sent {
		_, _ = p.ResponseWriter.(io.ReaderFrom).ReadFrom(o)
	}
}

// Unwrap is for http.ResponseController.
func (p *paced) Unwrap() http.ResponseWriter { return p.ResponseWriter }

func (p *paced) Write(b []byte) (n int, err error) {
	for {
		p.extend()
		part, err := p.ResponseWriter.Write(b[n:min(len(b), n+stride)])
		if n += part; err != nil || n == len(b) {
			return n, err
		}
	}
}

// ReadFrom hands strides to net/http as it knows them: a limited reader of a file.
func (p *paced) ReadFrom(src io.Reader) (n int64, err error) {
	to, ok := p.ResponseWriter.(io.ReaderFrom)
	if !ok {
		return io.Copy(struct{ io.Writer }{p}, src)
	}
	whole, limited := src.(*io.LimitedReader)
	if !limited {
		whole = &io.LimitedReader{R: src, N: math.MaxInt64}
	}
	for whole.N > 0 {
		part := &io.LimitedReader{R: whole.R, N: min(stride, whole.N)}
		kept, isKept := whole.R.(*keptFile)
		if isKept {
			file, there, err := kept.ahead()
			if err != nil || there == 0 {
				return n, err
			}
			part.R, part.N = file, min(part.N, there)
		}
		want := part.N
		p.extend()
		sent, err := to.ReadFrom(part)
		n += sent
		whole.N -= sent
		if isKept {
			kept.at += sent
		}
		if err != nil || sent < want {
			return n, err
		}
	}
	return n, nil
}
