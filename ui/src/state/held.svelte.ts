// A grant that the page holds: the right to fetch from the edge what is not public, asked for when it is wanted and renewed in time.

import { sentence, type Key } from '../api/client';

const look = 10_000; // ms between looks whether it is time: timers stand still while a machine sleeps
const least = 30_000; // ms between renewals, whatever the clocks of browser and server say
const most = 20 * 60_000; // the same: a browser's clock that is late must not let a grant end

export class Held {
  key = $state.raw<Key | null>(null);
  problem = $state('');

  readonly #ask: () => Promise<Key>;
  #timer: ReturnType<typeof setInterval> | undefined;
  #due = 0; // when to renew
  #asked = 0; // counts the questions, so that an answer to an older one does not count

  constructor(ask: () => Promise<Key>) {
    this.#ask = ask;
  }

  // want asks for the grant, anew where there is one: what it is to open has changed.
  want() {
    this.#timer ??= setInterval(() => {
      if (Date.now() >= this.#due) void this.#renew();
    }, look);
    void this.#renew();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#asked++;
  }

  // behind puts the grant behind an address at the edge; empty while there is none.
  behind(address: string): string {
    return address && this.key?.query ? `${address}?${this.key.query}` : '';
  }

  async #renew() {
    const asked = ++this.#asked;
    this.#due = Date.now() + least; // of the next try, where this one fails or is slow
    try {
      const key = await this.#ask();
      if (asked !== this.#asked) return;
      const life = key.expires ? Date.parse(key.expires) - Date.now() : most;
      this.#due = Date.now() + Math.min(Math.max(life * 0.75, least), most);
      this.key = key;
      this.problem = '';
    } catch (thrown) {
      if (asked !== this.#asked) return;
      this.#due = Date.now() + look;
      this.problem = sentence(thrown);
    }
  }
}
