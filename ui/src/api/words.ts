// Numbers and times in words a person reads.

import type { Policy, Waiting } from './client';

// Who may watch, by playback policy.
export const policyWords: Record<Policy, string> = {
  public: 'Anybody with the address',
  signed: 'Signed addresses, and members',
  members: 'Members of the workspace',
};

const units = ['B', 'kB', 'MB', 'GB', 'TB'];

export function bytes(n: number): string {
  let i = 0;
  while (n >= 999.5 && i < units.length - 1) {
    n /= 1000;
    i++;
  }
  return `${n.toFixed(i === 0 || n >= 99.95 ? 0 : 1)} ${units[i]}`;
}

export function bitrate(bits: number): string {
  if (bits >= 999_500) return `${(bits / 1e6).toFixed(bits >= 9.95e6 ? 0 : 1)} Mbit/s`;
  return `${Math.round(bits / 1000)} kbit/s`;
}

// clock writes a length as 0:07, 12:34 or 1:02:03.
export function clock(ms: number): string {
  const s = Math.round(ms / 1000);
  const two = (n: number) => String(n).padStart(2, '0');
  const h = Math.floor(s / 3600);
  const m = Math.floor((s % 3600) / 60);
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

// span writes a short length of time, as for how long something took.
export function span(ms: number): string {
  // Rounded first, or 59.9 s would be 60 s and 119.6 s would be 1 min 60 s.
  if (Math.round(ms) < 1000) return `${Math.round(ms)} ms`;
  const tenths = Math.round(ms / 100);
  if (tenths < 100) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.round(ms / 60_000);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// left writes an estimate, no more exact than it is.
export function left(ms: number): string {
  return `${about(ms)} left`;
}

function about(ms: number): string {
  const s = ms / 1000;
  if (s < 5) return 'a few seconds';
  if (s < 50) return `about ${Math.ceil(s / 5) * 5}\u00a0s`;
  if (s < 3300) return `about ${Math.max(1, Math.round(s / 60))}\u00a0min`;
  return `about ${Math.max(1, Math.round(s / 3600))}\u00a0h`;
}

const reasons: Record<Waiting['for'], string> = {
  source: 'Waits for its file',
  worker: 'Waits for a free worker',
  paused: 'Waits until its queue is resumed',
  disk: 'Waits for room on the server’s disk',
  storage: 'Waits for the storage',
  database: 'Waits for the database',
  retry: 'Waits after a failed try',
};

const mostAhead = 1000; // how far into a queue the server looks

// waits writes what a video waits for, from now (ms), as a sentence.
export function waits(w: Waiting, now: number): string {
  if (w.for === 'worker' && w.workers === 0) return 'Waits for a worker: no process takes this kind of work.';
  const more: string[] = [];
  if (w.next_look) more.push(inSeconds(w.next_look, now));
  if (w.ahead === 0 && w.eta_seconds !== undefined) more.push('it is next');
  if (w.ahead === 1) more.push('1 job is before it');
  else if (w.ahead) more.push(`${w.ahead}${w.ahead >= mostAhead ? ' or more' : ''} jobs are before it`);
  if (w.eta_seconds) more.push(about(w.eta_seconds * 1000));
  if (w.next_try) more.push(`next try in ${Math.max(0, Math.ceil((Date.parse(w.next_try) - now) / 1000))}\u00a0s`);
  return `${reasons[w.for]}${more.length ? ': ' : ''}${more.join(', ')}.`;
}

// inSeconds writes when the server looks for a file by itself, from now (ms).
export function inSeconds(time: string, now: number): string {
  return `next look in ${Math.max(0, Math.ceil((Date.parse(time) - now) / 1000))}\u00a0s`;
}

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

// ago writes how long ago a time was, from now (ms).
export function ago(time: string, now: number): string {
  const s = (Date.parse(time) - now) / 1000;
  if (s > -45) return 'just now';
  if (s > -2700) return relative.format(Math.round(s / 60), 'minute');
  if (s > -79_200) return relative.format(Math.round(s / 3600), 'hour');
  if (s > -2_160_000) return relative.format(Math.round(s / 86_400), 'day');
  return new Date(time).toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

export function moment(time: string): string {
  return new Date(time).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'medium', hour12: false });
}

export function percent(part: number): number {
  return Math.floor(Math.min(1, Math.max(0, part)) * 100);
}

const codecs: [RegExp, string][] = [
  [/^avc1|^h264$/, 'H.264'],
  [/^hvc1|^hev1|^hevc$/, 'HEVC'],
  [/^av01|^av1$/, 'AV1'],
  [/^vp0?9/, 'VP9'],
  [/^vp0?8/, 'VP8'],
  [/^mp4a|^aac$/, 'AAC'],
  [/^opus$/i, 'Opus'],
];

export function codec(name: string): string {
  return codecs.find(([pattern]) => pattern.test(name))?.[1] ?? name;
}

// number prints a rate such as 29.97 without idle zeros.
export function number(n: number): string {
  return String(Math.round(n * 100) / 100);
}

// day writes a date.
export function day(time: string): string {
  return new Date(time).toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

const browsers: [RegExp, string][] = [
  [/\bEdg(?:e|A|iOS)?\//, 'Edge'],
  [/\b(?:OPR|Opera)\//, 'Opera'],
  [/\b(?:Firefox|FxiOS)\//, 'Firefox'],
  [/\b(?:Headless)?(?:Chrome|CriOS)\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];

const systems: [RegExp, string][] = [
  [/iPhone|iPad/, 'iOS'],
  [/Android/, 'Android'],
  [/Windows/, 'Windows'],
  [/Mac OS X/, 'macOS'],
  [/CrOS/, 'ChromeOS'],
  [/Linux/, 'Linux'],
];

// browser names what a User-Agent header is of, as people would: 'Firefox on Linux'. Others are told as they are.
export function browser(agent: string): string {
  const name = browsers.find(([pattern]) => pattern.test(agent))?.[1];
  const system = systems.find(([pattern]) => pattern.test(agent))?.[1];
  if (!name) return agent || 'An unknown program';
  return system ? `${name} on ${system}` : name;
}
