//go:build !drill

package bucket

// step marks a point between two durable steps of the endpoint. A build with the tag "drill" can kill the process there
// (step_drill.go).
func step(string) {}
