// The JSON API as the page uses it: shapes, one client, and problem documents turned into errors with a sentence to show.

export type Status = 'waiting' | 'processing' | 'ready' | 'failed';

export const statuses: Status[] = ['waiting', 'processing', 'ready', 'failed'];

export interface Failure {
  code: string;
  message: string;
}

export interface Playback {
  hls?: string;
  dash?: string;
  poster?: string;
  thumbnail?: string;
}

export interface Rendition {
  name: string;
  width: number;
  height: number;
  codec: string;
  bitrate: number; // bits a second
  bytes: number;
  frame_rate?: number;
}

export interface AudioRendition {
  name: string;
  codec: string;
  bitrate: number; // bits a second
  bytes: number;
  channels?: number;
  language?: string;
}

export interface Attempt {
  number: number;
  worker?: string;
  started?: string | null;
  finished?: string | null;
  error?: Failure | null;
}

export interface Step {
  name: string;
  n: number;
  state: string;
  progress?: number; // 0..1
  started?: string | null;
  finished?: string | null;
  attempts?: Attempt[] | null;
}

export const policies = ['public', 'signed', 'members'] as const;

export type Policy = (typeof policies)[number];

// Waiting is what a video waits for.
export interface Waiting {
  for: 'source' | 'worker' | 'paused' | 'disk' | 'storage' | 'database' | 'retry';
  next_look?: string; // of source
  code?: string; // of the error of the last try
  next_try?: string; // after an error
  queue?: string; // of its next job
  ahead?: number; // jobs of the queue that start before it; 1000 means that many or more
  workers?: number; // jobs of the queue that can run side by side now
  eta_seconds?: number; // estimate until its next job starts
}

export interface Video {
  id: string;
  name: string;
  owner: string; // id of who put it
  workspace: string; // id
  playback_policy: Policy;
  title?: string;
  description?: string;
  tags?: string[] | null;
  metadata?: Record<string, string> | null;
  status: Status;
  waiting?: Waiting | null; // absent while a step runs, and once all is done
  playable: boolean;
  progress: number; // 0..1
  eta_ms?: number | null;
  error?: Failure | null;
  playback?: Playback | null;
  renditions?: Rendition[] | null;
  audio?: AudioRendition[] | null;
  duration_ms?: number;
  added?: { kind: 'silence' | 'held_picture'; from_ms: number; to_ms: number }[]; // so that sound and picture end together
  created: string;
  updated: string;
  time_to_playable_ms?: number;
  generation?: number; // that plays, 0 for none
  newest_generation?: number;
  received?: string; // absent until the source is there
  settings?: { max_resolution?: number } | null;
  source?: Record<string, unknown> | null;
  steps?: Step[] | null;
}

export interface Event {
  id: number;
  type: string;
  time: string;
  data?: unknown;
}

// StepError is a failed attempt at a step; it outlives its video.
export interface StepError {
  id: number;
  video: string;
  name: string; // of the video
  step: string;
  n: number; // the chunk, for encode
  attempt: number;
  code: string;
  message: string;
  final: boolean; // else the step was tried again
  time: string;
  worker?: string; // absent once the video is deleted
}

export interface ErrorGroup {
  code: string;
  step: string;
  message: string;
  count: number;
  videos: number;
  final: number;
  last: string;
}

export interface Page<T> {
  items: T[] | null;
  next?: string;
}

export interface EventPage {
  items: Event[] | null;
  next?: number; // absent on the last page
}

export interface Grant {
  id: string; // of the video
  url?: string; // presigned; absent where the file is sent in parts
  parts?: Division; // absent where the file is sent in one PUT
  method: string;
  headers?: Record<string, string> | null;
  expires: string;
}

// Division says how a file is sent that is larger than the storage takes in one PUT.
export interface Division {
  size: number; // bytes of each part but the last
  count: number; // numbered from 1
}

// PartPage is the right to put some parts of a file.
export interface PartPage {
  parts: { number: number; size: number; url: string }[];
  expires: string;
}

// Key is the right to watch. expires and query are absent where none is needed, and the addresses where it is for everything.
export interface Key {
  policy?: Policy;
  expires?: string;
  query?: string; // to put behind any address that it opens
  hls?: string;
  dash?: string;
  poster?: string;
  thumbnail?: string;
}

export interface KeyRequest {
  video?: string; // id
  all?: true; // everything that the caller may see
  way?: 'url';
  expires_in?: number; // seconds
}

// PlaybackID is one more address of a video.
export interface PlaybackID {
  id: string;
  name: string; // empty for none
  policy?: Policy; // absent: as the video says
  origins: string[]; // of the pages that may play it, empty for any
  max_resolution?: number;
  of?: string; // what it stands for, where a grant with a cap made it
  created: string;
  revoked?: string;
}

export interface Edit {
  title?: string;
  description?: string;
  tags?: string[];
  metadata?: Record<string, string>;
  workspace?: string;
  playback_policy?: Policy;
}

// Job is one durable piece of work. Dead ones failed for good and are kept.
export const jobStates = ['available', 'scheduled', 'running', 'completed', 'canceled', 'dead'] as const;

export type JobState = (typeof jobStates)[number];

export interface Job {
  id: number;
  kind: string;
  state: JobState;
  queue: string;
  owner: string;
  video?: string; // absent for removals
  step?: { generation: number; name: string; n: number };
  attempt: number;
  max_attempts: number;
  worker?: string;
  created: string;
  due: string;
  started?: string;
  finished?: string;
  error?: string;
  attempts?: (Attempt & { detail?: string })[]; // of one job alone
}

export interface JobPage {
  items: Job[] | null;
  next?: number; // absent on the last page
}

export interface Queue {
  name: string;
  paused: boolean;
  available: number;
  scheduled: number;
  running: number;
  dead: number;
  workers?: number; // limit of every machine without one of its own
  lost: number; // in processes that are silent
  machines: { name: string; up: boolean; workers: number; limit?: number; running: number; processes: Process[] }[];
}

export interface Process {
  id: string;
  pid: number;
  roles: string;
  up: boolean;
  last_seen: string;
  running: number;
  lost_attempts: number; // that others took over because it was silent
}

// Problem is what went wrong, with a sentence that is fit to show. status is 0 where no answer came.
export class Problem extends Error {
  readonly status: number;
  readonly code: string;

  constructor(message: string, status: number, code: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

// sentence returns the words to show for anything that was thrown.
export function sentence(thrown: unknown): string {
  return thrown instanceof Problem ? thrown.message : 'Something went wrong on this page; reload it and try again.';
}

interface ProblemDocument {
  title?: string;
  detail?: string;
  code?: string;
  errors?: { field: string; message: string }[];
}

async function problem(response: Response): Promise<Problem> {
  const fallback = `The server answered ${response.status} ${response.statusText}`.trim() + '; try again.';
  try {
    const body = (await response.json()) as ProblemDocument;
    const whole = (body.detail || body.title || fallback).replace(/\bbody\./g, '');
    const fields = (body.errors ?? []).filter((e) => !whole.includes(e.message)).map((e) => `${e.field.replace(/^body\./, '')}: ${e.message}`);
    const said = [whole, ...fields].join(' ');
    return new Problem(said + later(response), response.status, body.code || 'unknown');
  } catch {
    return new Problem(fallback, response.status, 'unknown');
  }
}

// later says how long to wait, where the server says so (RFC 9110 §10.2.3) and it is worth a word.
function later(response: Response): string {
  const seconds = Number(response.headers.get('Retry-After'));
  if (response.status !== 429 || !(seconds > 0)) return '';
  return seconds < 90 ? ` That is ${Math.ceil(seconds)} s.` : ` That is ${Math.ceil(seconds / 60)} min.`;
}

export class Client {
  readonly #token: string;
  readonly #refused: (why: Problem) => void;

  // token is sent with each request; without one the browser's session speaks, a cookie that scripts can't read. refused is called when
  // the server does not know who asks (any more), or wants something of them first.
  constructor(token: string, refused: (why: Problem) => void) {
    this.#token = token;
    this.#refused = refused;
  }

  // call sends one request and returns what its JSON says, undefined where nothing does. It throws a Problem.
  async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.#send(method, path, 'application/json', body);
    if (response.status === 204) return undefined as T;
    const text = await response.text();
    return (text ? JSON.parse(text) : undefined) as T;
  }

  // picture returns an image of the API as an address that the page may show. It throws a Problem.
  async picture(path: string): Promise<string> {
    const bytes = new Uint8Array(await (await this.#send('GET', path, 'image/png')).arrayBuffer());
    return `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`;
  }

  async #send(method: string, path: string, accept: string, body?: unknown): Promise<Response> {
    const headers: Record<string, string> = { Accept: accept };
    if (this.#token) headers['Authorization'] = `Bearer ${this.#token}`;
    if (body !== undefined) headers['Content-Type'] = 'application/json';
    let response: Response;
    try {
      response = await fetch(path, {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        cache: 'no-store',
        credentials: this.#token ? 'omit' : 'same-origin',
      });
    } catch {
      throw new Problem('The server did not answer. Check that it is running and that you are online.', 0, 'unreachable');
    }
    if (!response.ok) {
      const why = await problem(response);
      if ((why.status === 401 && why.code !== 'sign_in_failed') || /^(?:password_change|second_factor|second_factor_enrolment)_required$/.test(why.code)) this.#refused(why);
      throw why;
    }
    return response;
  }

  videos(status: Status | '', limit: number, cursor = ''): Promise<Page<Video>> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (status) query.set('status', status);
    if (cursor) query.set('cursor', cursor);
    return this.call('GET', `/v1/videos?${query}`);
  }

  video(id: string): Promise<Video> {
    return this.call('GET', `/v1/videos/${encodeURIComponent(id)}`);
  }

  edit(id: string, edit: Edit): Promise<Video> {
    return this.call('PATCH', `/v1/videos/${encodeURIComponent(id)}`, edit);
  }

  delete(id: string): Promise<void> {
    return this.call('DELETE', `/v1/videos/${encodeURIComponent(id)}`);
  }

  encode(id: string, maxResolution: number): Promise<Video> {
    return this.call('POST', `/v1/videos/${encodeURIComponent(id)}/encode`, { max_resolution: maxResolution });
  }

  events(id: string, after: number, limit: number): Promise<EventPage> {
    const query = new URLSearchParams({ after: String(after), limit: String(limit) });
    return this.call('GET', `/v1/videos/${encodeURIComponent(id)}/events?${query}`);
  }

  errors(code: string, limit: number, cursor = ''): Promise<Page<StepError>> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (code) query.set('code', code);
    if (cursor) query.set('cursor', cursor);
    return this.call('GET', `/v1/errors?${query}`);
  }

  async errorGroups(since: Date): Promise<ErrorGroup[]> {
    const query = new URLSearchParams({ since: since.toISOString() });
    const summary = await this.call<{ groups: ErrorGroup[] | null }>('GET', `/v1/errors/summary?${query}`);
    return summary.groups ?? [];
  }

  queues(): Promise<{ items: Queue[] }> {
    return this.call('GET', '/v1/queues');
  }

  editQueue(name: string, edit: { paused?: boolean; workers?: number | null }): Promise<Queue> {
    return this.call('PATCH', `/v1/queues/${encodeURIComponent(name)}`, edit);
  }

  jobs(state: JobState | '', limit: number, before = 0): Promise<JobPage> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (state) query.set('state', state);
    if (before) query.set('before', String(before));
    return this.call('GET', `/v1/jobs?${query}`);
  }

  job(id: number): Promise<Job> {
    return this.call('GET', `/v1/jobs/${id}`);
  }

  redriveJob(id: number): Promise<JobPage> {
    return this.call('POST', `/v1/jobs/${id}/redrive`);
  }

  cancelJob(id: number): Promise<Job> {
    return this.call('POST', `/v1/jobs/${id}/cancel`);
  }

  // key asks for the right to watch: a manifest of a video that plays everywhere, or a query that opens everything.
  key(request: KeyRequest): Promise<Key> {
    return this.call('POST', '/v1/keys', request);
  }

  async playbacks(id: string): Promise<PlaybackID[]> {
    return (await this.call<{ items: PlaybackID[] }>('GET', `/v1/videos/${encodeURIComponent(id)}/playbacks`)).items;
  }

  revokePlayback(id: string, playback: string): Promise<void> {
    return this.call('DELETE', `/v1/videos/${encodeURIComponent(id)}/playbacks/${encodeURIComponent(playback)}`);
  }

  // complete tells the server that the file of an upload was PUT: it looks for the file at once. It throws a Problem,
  // code "not_uploaded", where there is none.
  complete(id: string): Promise<{ received?: string }> {
    return this.call('POST', `/v1/uploads/${encodeURIComponent(id)}/complete`);
  }

  // parts asks for the right to put parts of a file, from the part first on.
  parts(id: string, first: number, count: number): Promise<PartPage> {
    return this.call('POST', `/v1/uploads/${encodeURIComponent(id)}/parts`, { first, count });
  }

  // grant asks for the right to put a file into a workspace, the caller's first one where it is empty.
  grant(file: File, workspace: string): Promise<Grant> {
    const ask: Record<string, unknown> = { filename: file.name };
    if (workspace) ask['workspace'] = workspace;
    if (file.size) ask['size'] = file.size;
    if (file.type) ask['content_type'] = file.type;
    return this.call('POST', '/v1/uploads', ask);
  }
}
