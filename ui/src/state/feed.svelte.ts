// The list of videos: the first page is looked at again and again, further pages when asked for.

import { sentence, type Client, type Status, type Video } from '../api/client';

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
  items = $state.raw<Video[]>([]);
  next = $state<string | undefined>();
  status = $state<Status | ''>('');
  loaded = $state(false);
  busy = $state(false); // a further page is on its way
  problem = $state('');

  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  // look reads the first page again, and what is under way beyond it. It returns the ms until the next look.
  async look(): Promise<number> {
    const status = this.status;
    try {
      const page = await this.#client.videos(status, pageSize);
      if (status !== this.status) return 0;
      const head = page.items ?? [];
      const last = head.at(-1)?.id ?? '';
      const tail = page.next ? this.items.filter((v) => v.id < last) : []; // ids grow with time, newest first
      const known = await Promise.all(tail.map((v) => (active(v) ? this.#client.video(v.id).catch(() => v) : v)));
      if (status !== this.status) return 0;
      if (tail.length === 0) this.next = page.next;
      this.items = [...head, ...known.filter((v) => !status || v.status === status)];
      this.loaded = true;
      this.problem = '';
    } catch (thrown) {
      this.problem = sentence(thrown);
      return calm;
    }
    return this.items.some(active) ? quick : calm;
  }

  async more(): Promise<void> {
    if (!this.next || this.busy) return;
    this.busy = true;
    const status = this.status;
    try {
      const page = await this.#client.videos(status, pageSize, this.next);
      if (status !== this.status) return;
      const have = new Set(this.items.map((v) => v.id));
      this.items = [...this.items, ...(page.items ?? []).filter((v) => !have.has(v.id))];
      this.next = page.next;
      this.problem = '';
    } catch (thrown) {
      this.problem = sentence(thrown);
    } finally {
      this.busy = false;
    }
  }

  filter(status: Status | '') {
    this.status = status;
    this.items = [];
    this.next = undefined;
    this.loaded = false;
  }

  // drop takes a video out at once, before the server's list says so.
  drop(id: string) {
    this.items = this.items.filter((v) => v.id !== id);
  }
}
