package video

// Within is where to look for videos: what a reader may see. The zero Within is nowhere.
type Within struct {
	All        bool     // in every workspace
	Workspaces []string // else in these
	ReadyOnly  bool     // of them, what is ready
}

// Everywhere is for work that is nobody's.
func Everywhere() Within { return Within{All: true} }

// Query chooses videos.
type Query struct {
	Within
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
	Workspace   *string
	Policy      *Policy
}
