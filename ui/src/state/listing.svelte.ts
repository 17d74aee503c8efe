// The state of one list of the page, newest first unless its ids rise. The range that is loaded is read again and again by cursor, one
// request a look: the first page in each second look, and the pages behind it one after the other in the others. Items
// that the server no longer lists go away when their page is read, and the list never becomes longer than the pages that
// somebody asked for. A failure that is over is not shown any more.

import { sentence } from '../api/client';

// Slice is one page of a list, and the cursor of the page behind it.
export interface Slice<T, C> {
  items: T[] | null;
  next?: C;
}

export class Listing<T extends { id: string | number }, C extends string | number> {
  items = $state.raw<T[]>([]);
  next = $state.raw<C | undefined>(); // of the page behind the last one; undefined at the end of the list
  loaded = $state(false);
  busy = $state(false); // a further page is on its way
  problem = $state('');

  readonly #page: (cursor?: C) => Promise<Slice<T, C>>;
  readonly #rising: boolean;
  #pages = 1; // that somebody asked for
  #read = 0; // pages of this sweep that were read
  #at: C | undefined; // where the sweep goes on
  #above: T['id'] | undefined; // the last item before that
  #head = true; // the next look reads the first page
  #epoch = 0; // counts clears: an answer from before is of another list

  // page asks the server for the page at a cursor, or for the first one. Ids fall along the list, or rise.
  constructor(page: (cursor?: C) => Promise<Slice<T, C>>, ids: 'falling' | 'rising' = 'falling') {
    this.#page = page;
    this.#rising = ids === 'rising';
  }

  // look makes one request. It reports whether the server answered.
  async look(): Promise<boolean> {
    const epoch = this.#epoch;
    const head = this.#head || this.#at === undefined;
    try {
      const slice = await this.#page(head ? undefined : this.#at);
      if (epoch !== this.#epoch) return true;
      this.#take(slice, head);
      this.loaded = true;
      this.problem = '';
      return true;
    } catch (thrown) {
      if (epoch === this.#epoch) this.problem = sentence(thrown);
      return false;
    }
  }

  // more loads one page behind the last one.
  async more(): Promise<void> {
    if (this.next === undefined || this.busy) return;
    this.busy = true;
    const epoch = this.#epoch;
    const end = this.items.at(-1)?.id;
    try {
      const slice = await this.#page(this.next);
      if (epoch !== this.#epoch) return;
      this.#pages++;
      this.#merge(slice, end);
      this.next = slice.next;
      this.problem = '';
    } catch (thrown) {
      if (epoch === this.#epoch) this.problem = sentence(thrown);
    } finally {
      this.busy = false;
    }
  }

  clear() {
    this.#epoch++;
    this.items = [];
    this.next = undefined;
    this.loaded = false;
    this.problem = '';
    this.#pages = 1;
    this.#restart();
  }

  // drop takes an item out at once, before the server's list says so.
  drop(id: T['id']) {
    this.items = this.items.filter((i) => i.id !== id);
  }

  // behind reports whether the item with the id a stands behind the one with the id b.
  #behind(a: T['id'], b: T['id']): boolean {
    return this.#rising ? a > b : a < b;
  }

  #restart() {
    this.#read = 0;
    this.#at = this.#above = undefined;
    this.#head = true;
  }

  #take(slice: Slice<T, C>, head: boolean) {
    const fresh = slice.items ?? [];
    const known = new Set(this.items.map((i) => i.id));
    const gap = head && slice.next !== undefined && this.items.length > 0 && !fresh.some((i) => known.has(i.id));
    this.#merge(slice, head ? undefined : this.#above);
    if (head && this.#at !== undefined && !gap) {
      this.#head = false; // a sweep is under way
      return;
    }
    this.#read = head ? 1 : this.#read + 1;
    if (slice.next === undefined || this.#read >= this.#pages || fresh.length === 0) {
      const last = fresh.at(-1)?.id;
      if (last !== undefined) this.items = this.items.filter((i) => !this.#behind(i.id, last));
      this.next = slice.next;
      this.#restart();
      return;
    }
    this.#at = slice.next;
    this.#above = fresh.at(-1)?.id;
    this.#head = !head && this.#pages > 1;
  }

  // merge puts a page in the place of what was known of its range, which begins below the item above.
  #merge(slice: Slice<T, C>, above: T['id'] | undefined) {
    const fresh = slice.items ?? [];
    const last = fresh.at(-1)?.id;
    const before = above === undefined ? [] : this.items.filter((i) => !this.#behind(i.id, above));
    const behind = slice.next === undefined ? [] : last === undefined ? this.items : this.items.filter((i) => this.#behind(i.id, last));
    this.items = [...before, ...fresh, ...behind];
  }
}
