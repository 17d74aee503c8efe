package catalog

import (
	"os"
	"testing"

	"sluice/internal/engine/enginetest"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }
