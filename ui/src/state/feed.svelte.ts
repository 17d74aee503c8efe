// The list of videos, by status.

import type { Client, Status, Video } from '../api/client';
import { Listing } from './listing.svelte';

const pageSize = 24;
const quick = 1500; // ms between looks while something is under way
const calm = 10_000; // ms otherwise
const fresh = 15 * 60_000; // ms after which a video that waits for its file no longer counts as under way

// active reports whether the video is likely to change soon.
export function active(video: Video): boolean {
  if (video.status === 'processing') return true;
  return video.status === 'waiting' && Date.now() - Date.parse(video.created) < fresh;
}

export class Feed {
  status = $state<Status | ''>('');
  readonly list: Listing<Video, string>;

  constructor(client: Client) {
    this.list = new Listing((cursor) => client.videos(this.status, pageSize, cursor));
  }

  get items(): Video[] {
    return this.list.items;
  }

  // look makes one request and returns the ms until the next look.
  async look(): Promise<number> {
    const status = this.status;
    const answered = await this.list.look();
    if (status !== this.status) return 0;
    return answered && this.items.some(active) ? quick : calm;
  }

  filter(status: Status | '') {
    this.status = status;
    this.list.clear();
  }

  drop(id: string) {
    this.list.drop(id);
  }
}
