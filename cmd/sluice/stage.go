package main

import (
	"sluice/internal/api"
	"sluice/internal/notify"
	"sluice/internal/pipeline"
	"sluice/internal/purge"
	"sluice/internal/upload"
)

// records and blobs are what the rooms move facts and objects by. A build with the tag "drill" can die before and after every such move (stage_drill.go).
type (
	records interface {
		upload.Store
		pipeline.Store
		pipeline.Results
		pipeline.Remover
		api.Videos
		api.Redriver
		api.Subscriptions
		notify.Store
		purge.Store
		api.CDNCopies
	}
	blobs interface {
		upload.Objects
		pipeline.Objects
	}
	operations interface { // what operators do to jobs
		api.Jobs
		api.Queues
	}
)
