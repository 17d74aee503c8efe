// Who is signed in: the admin token, kept for this tab, or for this browser where the person asked for it.

import { Client, type Problem } from '../api/client';

const key = 'sluice.token';

class Session {
  client = $state<Client | null>(null);
  refused = $state(false); // the server no longer takes the token that was kept

  // start takes the token from the address (#token=…, as the server prints it), and from the address bar, or from where it was kept.
  start() {
    const given = /^#token=([^&]+)/.exec(location.hash)?.[1];
    if (given) {
      history.replaceState(null, '', location.pathname + location.search + '#/');
      this.#use(decodeURIComponent(given), false);
      return;
    }
    if (this.client) return;
    const kept = sessionStorage.getItem(key) ?? localStorage.getItem(key);
    if (kept) this.client = this.#client(kept);
  }

  // signIn asks the server whether it takes the token before keeping it; it throws the Problem otherwise.
  async signIn(token: string, remember: boolean): Promise<void> {
    await new Client(token, () => {}).videos('', 1).catch((thrown: Problem) => {
      if (thrown.status === 401 || thrown.status === 403) thrown.message = 'The server does not know this token. Copy it again from where the server runs.';
      throw thrown;
    });
    this.#use(token, remember);
  }

  signOut() {
    sessionStorage.removeItem(key);
    localStorage.removeItem(key);
    this.client = null;
  }

  #use(token: string, remember: boolean) {
    this.signOut();
    (remember ? localStorage : sessionStorage).setItem(key, token);
    this.refused = false;
    this.client = this.#client(token);
  }

  #client(token: string): Client {
    return new Client(token, () => {
      this.signOut();
      this.refused = true;
    });
  }
}

export const session = new Session();
