// Sends one file to a presigned URL. XMLHttpRequest, because fetch tells nothing of an upload's progress.

import { Problem, type Grant } from './client';

const stall = 120_000; // ms without progress after which a connection is taken for lost

// passing reports whether a refusal is of the moment, so that the same file can be sent again.
export function passing(p: Problem): boolean {
  return (p.status === 0 && p.code !== 'canceled') || p.status === 408 || p.status === 429 || p.status >= 500 || p.code === 'RequestTimeout';
}

export interface Transfer {
  done: Promise<void>;
  cancel: () => void;
}

// put starts the transfer; progress is told the bytes sent so far. done rejects with a Problem; code "canceled" after cancel.
export function put(grant: Grant, file: File, progress: (bytes: number) => void): Transfer {
  const request = new XMLHttpRequest();
  const done = new Promise<void>((resolve, reject) => {
    request.upload.onprogress = (e) => progress(e.loaded);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) resolve();
      else reject(refusal(request));
    };
    request.onerror = () => reject(lost(grant));
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
    request.onabort = () => reject(silent ? lost(grant) : new Problem('The upload was canceled.', 0, 'canceled'));
    request.open(grant.method || 'PUT', grant.url);
    for (const [name, value] of Object.entries(grant.headers ?? {})) {
      // The browser sets these two itself and refuses to be told.
      if (!/^(host|content-length)$/i.test(name)) request.setRequestHeader(name, value);
    }
    request.send(file);
  });
  return { done, cancel: () => request.abort() };
}

// lost is what to say where no answer came. The browser does not tell a refusal by CORS from a broken connection, so a page
// opened at another address than the server's own (localhost for 127.0.0.1, say) names that as a cause.
function lost(grant: Grant): Problem {
  const there = new URL(grant.url, location.href).origin;
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
