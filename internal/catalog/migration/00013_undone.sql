-- +goose Up

-- The steps that are not done, by generation: each step that ends asks whether it was the last, and ten hours of video have more than a thousand.
CREATE INDEX step_undone ON step (video, generation) WHERE state <> 'done';

-- The playback ids of one base: revoking one must not read those of all videos.
CREATE INDEX playback_base ON playback (base);
