// Sends one file, or the parts of one, to presigned URLs. XMLHttpRequest, because fetch tells nothing of an upload's progress.

import { Problem, type Client, type Division } from './client';

const stall = 120_000; // ms without progress after which a connection is taken for lost

// passing reports whether a refusal is of the moment, so that the same file can be sent again.
export function passing(p: Problem): boolean {
  if (p.code === 'RequestTimeout' || p.code === 'IncompleteBody') return true; // S3 answers 400: the line was too slow, or broke
  return (p.status === 0 && p.code !== 'canceled') || p.status === 408 || p.status === 429 || p.status >= 500;
}

// Target is where one body is PUT.
export interface Target {
  url: string;
  method?: string;
  headers?: Record<string, string> | null;
}

export interface Transfer {
  done: Promise<void>;
  cancel: () => void;
}

// put starts the transfer; progress is told the bytes sent so far. done rejects with a Problem; code "canceled" after cancel.
export function put(to: Target, body: Blob, progress: (bytes: number) => void): Transfer {
  const request = new XMLHttpRequest();
  const done = new Promise<void>((resolve, reject) => {
    request.upload.onprogress = (e) => progress(e.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(refusal(request));
    };
    request.onerror = () => reject(lost(to));
    request.ontimeout = request.onerror;
    // A connection that was cut off while the device slept reports nothing by itself.
    let watch: ReturnType<typeof setTimeout> | undefined;
    let silent = false;
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => {
        silent = true;
        request.abort();
      }, stall);
    };
    request.upload.addEventListener('progress', alive);
    request.onloadend = () => clearTimeout(watch);
    alive();
    request.onabort = () => reject(silent ? lost(to) : new Problem('The upload was canceled.', 0, 'canceled'));
    request.open(to.method || 'PUT', to.url);
    for (const [name, value] of Object.entries(to.headers ?? {})) {
      // The browser sets these two itself and refuses to be told.
      if (!/^(host|content-length)$/i.test(name)) request.setRequestHeader(name, value);
    }
    request.send(body);
  });
  return { done, cancel: () => request.abort() };
}

const partsTogether = 4; // parts that are sent side by side, as by the Go client
const partsAsked = 2 * partsTogether; // parts whose URLs are asked for at once: few enough that most don't expire before they are used
const expiries = 3; // times that the URL of one part may expire, before that counts as a failure

// putParts sends the parts of a file that are not in done, and adds to done each that the storage has. A part whose URL
// has expired gets another one. After a failure no further part begins, those under way end, and done rejects: call it
// again to go on.
export function putParts(client: Client, id: string, division: Division, file: File, done: Set<number>, progress: (bytes: number) => void): Transfer {
  const bytes = (n: number) => Math.min(division.size, file.size - (n - 1) * division.size);
  const under = new Map<number, number>(); // bytes sent of parts under way
  const running = new Set<Transfer>();
  const urls = new Map<number, string>();
  let asking: Promise<void> = Promise.resolve(); // one request for URLs at a time
  let canceled = false;
  let failure: unknown;
  let next = 1;

  const tell = () => {
    let sum = 0;
    for (const n of done) sum += bytes(n);
    for (const sent of under.values()) sum += sent;
    progress(sum);
  };

  const ask = async (n: number) => {
    if (urls.has(n)) return;
    for (const part of (await client.parts(id, n, partsAsked)).parts) urls.set(part.number, part.url);
  };

  const send = async (n: number) => {
    for (let expired = 0; ; expired++) {
      asking = asking.catch(() => {}).then(() => ask(n));
      await asking;
      const url = urls.get(n);
      if (!url) throw new Problem(`The server gave no address for part ${n}.`, 0, 'no_address');
      if (canceled) throw new Problem('The upload was canceled.', 0, 'canceled');
      const from = (n - 1) * division.size;
      const transfer = put({ url }, file.slice(from, from + bytes(n)), (sent) => {
        under.set(n, Math.min(sent, bytes(n)));
        tell();
      });
      running.add(transfer);
      try {
        await transfer.done;
        done.add(n);
        return;
      } catch (thrown) {
        if (!(thrown instanceof Problem && thrown.code === 'expired') || expired === expiries) throw thrown;
        urls.delete(n);
      } finally {
        running.delete(transfer);
        under.delete(n);
        tell();
      }
    }
  };

  const work = async () => {
    while (!canceled && failure === undefined && next <= division.count) {
      const n = next++;
      if (done.has(n)) continue;
      try {
        await send(n);
      } catch (thrown) {
        failure ??= thrown;
      }
    }
  };

  const all = Promise.all(Array.from({ length: partsTogether }, work)).then(() => {
    if (canceled) throw new Problem('The upload was canceled.', 0, 'canceled');
    if (failure !== undefined) throw failure;
  });
  return {
    done: all,
    cancel: () => {
      canceled = true;
      for (const transfer of running) transfer.cancel();
    },
  };
}

// lost is what to say where no answer came. The browser does not tell a refusal by CORS from a broken connection, so a page
// opened at another address than the server's own (localhost for 127.0.0.1, say) names that as a cause.
function lost(to: Target): Problem {
  const there = new URL(to.url, location.href).origin;
  const said =
    there === location.origin
      ? 'The connection was lost during the upload.'
      : `The upload did not get through to ${there}. Open this page there, or let ${location.origin} in with the server's setting cors-origins.`;
  return new Problem(said, 0, 'unreachable');
}

// refusal reads the answer of an S3 endpoint (XML with Code and Message) or a problem document.
function refusal(request: XMLHttpRequest): Problem {
  const text = request.responseText;
  if (text.trimStart().startsWith('{')) {
    try {
      const body = JSON.parse(text) as { detail?: string; title?: string; code?: string };
      const said = body.detail || body.title;
      if (said) return new Problem(said, request.status, body.code || 'unknown');
    } catch {
      // Not JSON after all: fall through to the plain sentence.
    }
  }
  const xml = new DOMParser().parseFromString(text, 'application/xml');
  const code = xml.querySelector('Error > Code')?.textContent ?? 'unknown';
  const said = xml.querySelector('Error > Message')?.textContent ?? '';
  if (request.status === 403 && /expired/i.test(said)) {
    return new Problem('The upload link ran out before the upload began.', 403, 'expired');
  }
  return new Problem(`The storage refused the file (${request.status}${said ? `: ${said}` : ''}).`, request.status, code);
}
