// The workspaces that one may enter, by name.

import { Accounts, type Workspace } from '../api/account';
import type { Client } from '../api/client';

const home = 'main'; // where videos lie that name no workspace, for who belongs to it

export class Spaces {
  items = $state.raw<Workspace[]>([]);
  loaded = $state(false);

  readonly #accounts: Accounts;

  constructor(client: Client) {
    this.#accounts = new Accounts(client);
  }

  // load throws a Problem.
  async load(): Promise<void> {
    this.items = await this.#accounts.workspaces();
    this.loaded = true;
  }

  // home is where one's videos lie unless told otherwise, empty for nowhere.
  get home(): string {
    return this.items.find((w) => w.id === home)?.id ?? this.items[0]?.id ?? '';
  }

  // name is what a workspace is called, its id where that isn't known.
  name(id: string): string {
    return this.items.find((w) => w.id === id)?.name ?? id;
  }
}
