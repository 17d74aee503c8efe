package video

// Query chooses videos.
type Query struct {
	Status Status // empty for all
	Before ID     // only ids below this one; empty for the newest
	Limit  int
}

// Edit is a change; nil leaves a field as it is.
type Edit struct {
	Title       *string
	Description *string
	Tags        *[]string
	Metadata    *map[string]string
}
