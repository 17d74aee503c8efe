// The facts of a source, as the API gives them, in words. A fact that is absent is left out, never guessed.

import { bytes, clock, codec, number } from './words';

export interface Fact {
  name: string;
  value: string;
}

type Thing = Record<string, unknown>;

const thing = (v: unknown): Thing => (v && typeof v === 'object' && !Array.isArray(v) ? (v as Thing) : {});
const text = (v: unknown): string => (typeof v === 'string' ? v : '');
const count = (v: unknown): number => (typeof v === 'number' && Number.isFinite(v) ? v : 0);

// warnings are the sentences about what is wrong with a source that plays all the same.
export function warnings(source: unknown): string[] {
  const list = thing(source)['warnings'];
  return Array.isArray(list) ? list.map((w) => text(thing(w)['message'])).filter(Boolean) : [];
}

// additions are sentences about what was added to a video so that sound and picture begin and end together. Stretches
// of less than a second are left out: most recordings have one.
export function additions(video: unknown): string[] {
  const list = thing(video)['added'];
  if (!Array.isArray(list)) return [];
  return list.map(thing).filter((a) => count(a['to_ms']) - count(a['from_ms']) >= 1000).map((a) => {
    const [from, to] = [count(a['from_ms']), count(a['to_ms'])];
    const span = `from ${clock(from)} to ${clock(to)}`;
    if (a['kind'] === 'silence') return `Silence was added ${span}: the source has no sound there.`;
    return `The ${from ? 'last' : 'first'} picture is held ${span}: the source has only sound there.`;
  });
}

export function facts(source: unknown): Fact[] {
  const s = thing(source);
  const v = thing(s['video']);
  const sounds = Array.isArray(s['audio']) ? s['audio'].map(thing) : [];
  const list: Fact[] = [];
  const add = (name: string, value: string) => value && list.push({ name, value });

  add('Size', count(s['bytes']) ? bytes(count(s['bytes'])) : '');
  add('Container', container(text(s['container'])));
  add('Length', count(s['duration_ms']) ? clock(count(s['duration_ms'])) : '');
  add('Video', text(v['codec']) ? codec(text(v['codec'])) : '');
  add('Picture', count(v['width']) ? `${count(v['width'])} × ${count(v['height'])}${turned(count(v['rotation']))}` : '');
  add('Frame rate', rate(v));
  add('Pixels', [text(v['pix_fmt']), v['hdr'] === true ? 'HDR' : '', v['interlaced'] === true ? 'interlaced' : ''].filter(Boolean).join(', '));
  sounds.forEach((a, i) => add(sounds.length > 1 ? `Audio ${i + 1}` : 'Audio', sound(a)));
  return list;
}

// container names what ffprobe lists as "mov,mp4,m4a,…" by the name people use.
function container(name: string): string {
  if (name.startsWith('mov,')) return 'MP4 / MOV';
  if (name.startsWith('matroska')) return 'Matroska / WebM';
  if (name === 'mpegts') return 'MPEG-TS';
  return name;
}

function rate(v: Thing): string {
  const n = count(v['frame_rate']);
  return n ? `${number(n)} fps${v['vfr'] === true ? ', variable' : ''}` : '';
}

function turned(degrees: number): string {
  return degrees ? `, turned ${degrees}°` : '';
}

function sound(a: Thing): string {
  const n = count(a['channels']);
  const channels = n === 1 ? 'mono' : n === 2 ? 'stereo' : n ? `${n} channels` : '';
  const hertz = count(a['sample_rate']) ? `${number(count(a['sample_rate']) / 1000)} kHz` : '';
  return [codec(text(a['codec'])), channels, hertz, text(a['language'])].filter(Boolean).join(', ');
}
