//go:build drill

package bucket

// Step is called at each point between two durable steps of the endpoint, with the point's name. test/drill lists them.
var Step func(point string)

func step(point string) {
	if Step != nil {
		Step(point)
	}
}
