package upload_test

import (
	"flag"
	"os"
	"testing"

	"sluice/internal/engine/enginetest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES")))
}
