// The uploads of this page: a few at a time, each with its progress, each to be canceled or tried again.

import { Problem, sentence, type Client, type Grant, type Video } from '../api/client';
import { passing, put, putParts, type Transfer } from '../api/put';
import { inSeconds } from '../api/words';

const together = 2; // uploads at a time: more only share the same line
const margin = 10_000; // ms a presigned URL must still be good for

// copyAsks bounds the questions about a copy after a failed PUT: the server waits 10 s before it answers that it still
// copies,
// so the bound is about ten minutes.
const copyAsks = 60;
const announcements = 4; // calls that tell the server of one stored file
const tries = 6; // how often one file is sent before somebody has to ask for more, as by the Go client
const longest = 10_000; // ms between two of them

export type Phase = 'queued' | 'sending' | 'sent' | 'failed';

export class Upload {
  readonly file: File;
  readonly workspace: string; // id, empty for one's first
  phase = $state<Phase>('queued');
  sent = $state(0); // bytes
  rate = $state(0); // bytes a second, smoothed
  problem = $state(''); // why it failed, or why it is sent again
  tries = 0; // since somebody asked for it, or a part was sent
  parts = new Set<number>(); // numbers of the parts that the storage has, of a file that is sent in parts
  look = $state(''); // when the server looks for the stored file by itself, in words; empty where it has found it or that isn't known
  grant = $state.raw<Grant | null>(null);
  transfer = $state.raw<Transfer | null>(null);

  constructor(file: File, workspace: string) {
    this.file = file;
    this.workspace = workspace;
  }

  get part(): number {
    return this.file.size ? Math.min(1, this.sent / this.file.size) : this.phase === 'sent' ? 1 : 0;
  }

  // left is the milliseconds the rest will take, where that can be told.
  get left(): number | null {
    return this.rate > 0 ? ((this.file.size - this.sent) / this.rate) * 1000 : null;
  }

  // track notes the bytes sent and smooths the rate over the last seconds.
  track(): (bytes: number) => void {
    let at = performance.now();
    let before = 0;
    return (bytes) => {
      this.sent = Math.min(bytes, this.file.size);
      const now = performance.now();
      if (now - at < 500) return;
      const rate = ((bytes - before) / (now - at)) * 1000;
      this.rate = this.rate ? this.rate * 0.7 + rate * 0.3 : rate;
      at = now;
      before = bytes;
    };
  }
}

export class Tray {
  items = $state<Upload[]>([]);
  workspace = $state(''); // where what is added next will lie, empty for one's first
  said = $state(''); // the newest outcome, for screen readers

  #client: Client;
  #arrived: () => void;
  #waiting = false; // the session has ended: transfers go on, because presigned addresses need none, and the rest waits
  #unsaid: string[] = []; // ids of files that are stored and that the server was not told of

  // arrived is called when a file has reached the server.
  constructor(client: Client, arrived: () => void) {
    this.#client = client;
    this.#arrived = arrived;
  }

  // adopt goes on with another client of the same person, whose session has ended or has another cookie.
  adopt(client: Client, arrived: () => void) {
    this.#client = client;
    this.#arrived = arrived;
    this.#waiting = false;
    for (const id of this.#unsaid.splice(0)) void this.#announce(id);
    this.#advance();
  }

  get open(): boolean {
    return this.items.some((u) => u.phase === 'queued' || u.phase === 'sending');
  }

  // holds reports whether the tray still speaks for the video.
  holds(id: string): boolean {
    return this.items.some((u) => u.grant?.id === id);
  }

  add(files: Iterable<File>) {
    for (const file of files) this.items.push(new Upload(file, this.workspace));
    this.#advance();
  }

  retry(upload: Upload) {
    upload.phase = 'queued';
    upload.problem = '';
    upload.tries = 0;
    this.#advance();
  }

  // remove cancels what runs, takes the upload out of the tray, and takes the right to upload back.
  remove(upload: Upload) {
    this.items = this.items.filter((u) => u !== upload);
    upload.transfer?.cancel();
    if (upload.phase !== 'sent') this.#forget(upload);
    this.#advance();
  }

  // settle takes finished uploads out once the list shows their videos.
  settle(shown: (id: string) => boolean) {
    const rest = this.items.filter((u) => u.phase !== 'sent' || !u.grant || !shown(u.grant.id));
    if (rest.length !== this.items.length) this.items = rest;
  }

  // look notes, of uploads that are stored, when the server looks for them by itself.
  look(videos: Video[]) {
    for (const upload of this.items) {
      const video = videos.find((v) => v.id === upload.grant?.id);
      const next = upload.phase === 'sent' && video?.waiting?.for === 'source' ? video.waiting.next_look : '';
      upload.look = next ? inSeconds(next, Date.now()) : '';
    }
  }

  stop() {
    for (const upload of this.items) upload.transfer?.cancel();
    this.items = [];
  }

  #advance() {
    if (this.#waiting) return;
    let free = together - this.items.filter((u) => u.phase === 'sending').length;
    for (const upload of this.items) {
      if (free <= 0) return;
      if (upload.phase !== 'queued') continue;
      free--;
      upload.phase = 'sending';
      void this.#send(upload);
    }
  }

  async #send(upload: Upload) {
    const client = this.#client;
    try {
      if (upload.grant && (await this.#arrivedAfterAll(upload, upload.grant))) {
        this.#sent(upload);
        return;
      }
      if (!this.items.includes(upload)) return;
      if (upload.grant && !upload.grant.parts && Date.parse(upload.grant.expires) - Date.now() < margin) this.#forget(upload);
      const grant = upload.grant ?? (await this.#client.grant(upload.file, upload.workspace));
      upload.grant = grant;
      if (!this.items.includes(upload)) {
        this.#forget(upload);
        return;
      }
      upload.sent = 0;
      upload.rate = 0;
      if (grant.parts) {
        const before = upload.parts.size;
        upload.transfer = putParts(this.#client, grant.id, grant.parts, upload.file, upload.parts, upload.track());
        try {
          await upload.transfer.done;
        } finally {
          if (upload.parts.size > before) upload.tries = 0;
        }
        await this.#join(upload, grant.id);
        this.#sent(upload);
        return;
      }
      upload.transfer = put({ ...grant, url: grant.url ?? '' }, upload.file, upload.track());
      await upload.transfer.done;
      this.#sent(upload);
      void this.#announce(grant.id);
    } catch (thrown) {
      if (thrown instanceof Problem && thrown.code === 'canceled') return;
      if (signedOut(thrown)) {
        // The answer may be to the session before: its person has signed in again while the upload went on.
        if (client === this.#client) this.#waiting = true;
        upload.phase = 'queued';
        return;
      }
      if (thrown instanceof Problem && passing(thrown) && ++upload.tries < tries) {
        upload.transfer = null;
        upload.rate = 0;
        upload.problem = thrown.message;
        await new Promise((done) => setTimeout(done, Math.min(longest, 500 * 2 ** upload.tries)));
        if (this.items.includes(upload)) upload.phase = 'queued';
        return;
      }
      // The storage has no such upload in parts any more: another try begins anew.
      if (upload.grant?.parts && thrown instanceof Problem && /^(no_upload|no_parts|NoSuchUpload|upload_expired)$/.test(thrown.code)) this.#forget(upload);
      upload.phase = 'failed';
      upload.problem = sentence(thrown);
      this.said = `${upload.file.name} was not uploaded: ${upload.problem}`;
    } finally {
      upload.transfer = null;
      this.#advance();
    }
  }

  // join has the server put the parts of a file together: unlike a file of one PUT, it is not stored before. While the
  // server does so it answers without received, each time after 10 s.
  async #join(upload: Upload, id: string): Promise<void> {
    for (let n = 1; this.items.includes(upload); n++) {
      const answer = await this.#client.complete(id);
      if (answer.received !== undefined) return;
      if (n === copyAsks) throw new Problem('The server still puts the parts of the file together; look at the video later.', 202, 'upload_unconfirmed');
      await new Promise((done) => setTimeout(done, 250));
    }
    throw new Problem('The upload was canceled.', 0, 'canceled');
  }

  // arrivedAfterAll asks whether the server has the file of an earlier try, whose answer was lost: it is not sent twice then.
  async #arrivedAfterAll(upload: Upload, grant: Grant): Promise<boolean> {
    try {
      const video = await this.#client.video(grant.id);
      if (video.received !== undefined || video.status !== 'waiting') return true;
      return await this.#confirmed(upload, grant.id);
    } catch (thrown) {
      if (thrown instanceof Problem && (thrown.status === 404 || thrown.status === 410)) return false; // it was removed: the grant runs out
      throw thrown;
    }
  }

  // confirmed asks, after a failed PUT, whether the server records the file nevertheless. Only a recorded file counts:
  // while the server copies what it has found, the copy can still fail, and a second PUT would make a second video, so
  // confirmed waits for the end of the copy. A question that fails for a moment proves nothing of the file: confirmed
  // throws the failure, and #send asks again later, before any PUT.
  async #confirmed(upload: Upload, id: string): Promise<boolean> {
    for (let n = 1; this.items.includes(upload); n++) {
      const answer = await this.#client.complete(id).catch((thrown: unknown) => {
        if (!(thrown instanceof Problem) || signedOut(thrown) || passing(thrown)) throw thrown;
        return null;
      });
      if (answer === null) return false;
      if (answer.received !== undefined) return true;
      if (n === copyAsks) throw new Problem('The server still copies what it found of the file; try again later.', 202, 'upload_unconfirmed');
      await new Promise((done) => setTimeout(done, 250));
    }
    return false;
  }

  // announce tells the server that a file is stored. A failure is none of the upload: the server finds the file later
  // by itself.
  async #announce(id: string) {
    for (let pause = 250, n = 1; ; n++, pause *= 2) {
      const client = this.#client;
      try {
        await client.complete(id);
        this.#arrived();
        return;
      } catch (thrown) {
        if (signedOut(thrown)) {
          if (client !== this.#client) continue; // the answer is to the session before
          this.#unsaid.push(id);
          return;
        }
        // The storage may show a file some time after it has answered its PUT.
        const again = thrown instanceof Problem && (thrown.status === 0 || thrown.status === 429 || thrown.status >= 500 || thrown.code === 'not_uploaded');
        if (!again || n === announcements) return;
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  #sent(upload: Upload) {
    upload.problem = '';
    upload.sent = upload.file.size;
    upload.phase = 'sent';
    this.said = `${upload.file.name} is uploaded.`;
    this.#arrived();
  }

  #forget(upload: Upload) {
    const id = upload.grant?.id;
    upload.grant = null;
    upload.parts.clear();
    // A grant that stays behind runs out by itself; nothing is lost if this fails.
    if (id) void this.#client.delete(id).catch(() => {});
  }
}

// signedOut reports whether the server wants somebody to sign in, or to end signing in, first.
function signedOut(thrown: unknown): boolean {
  return thrown instanceof Problem && (thrown.status === 401 || /^(second_factor|password_change|second_factor_enrolment)_required$/.test(thrown.code));
}

// The tray of this document. It outlives the session of its person: who signs in again, or changes the password, finds
// the uploads going on. Nobody else does.
class Kept {
  tray = $state.raw<Tray | null>(null);
  #person = '';

  // of returns the tray of a person, the same one as before where that is theirs.
  of(person: string, client: Client, arrived: () => void): Tray {
    if (this.tray && person === this.#person) {
      this.tray.adopt(client, arrived);
      return this.tray;
    }
    this.drop();
    this.#person = person;
    this.tray = new Tray(client, arrived);
    return this.tray;
  }

  // drop ends the uploads: their person signs out.
  drop() {
    this.tray?.stop();
    this.tray = null;
  }
}

export const kept = new Kept();
