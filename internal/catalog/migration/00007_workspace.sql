-- Every video lies in a workspace, whose members may see it, and has a policy of who may watch it.

-- +goose Up
ALTER TABLE video ADD COLUMN workspace TEXT NOT NULL DEFAULT 'main';
ALTER TABLE video ADD COLUMN playback TEXT NOT NULL DEFAULT 'signed'; -- public, signed, members
CREATE INDEX video_workspace ON video (workspace, id);
CREATE INDEX video_workspace_status ON video (workspace, status, id);

-- Of the video, also after its deletion.
ALTER TABLE error ADD COLUMN workspace TEXT NOT NULL DEFAULT 'main';
CREATE INDEX error_workspace ON error (workspace, id);
