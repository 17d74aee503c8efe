// Who is signed in: a person by the browser's session, a cookie that no script can read, or the operator by the admin token, or by what the
// server's one-time link gives for it, which this tab keeps until it is closed. No other credential is accepted from an address.

import { Accounts, type Me, type Scope } from '../api/account';
import { Client, Problem, sentence } from '../api/client';
import { kept } from './tray.svelte';

const key = 'sluice.token';
const linked = 'sluice_adm_'; // begins a token that a one-time link was exchanged for, which sign-out revokes
const ended = 'Your session has ended. Sign in again to go on where you were.';

// starting: the server is being asked; away: it did not answer; out: nobody; prove: who has shown the password and not the second factor; must: who has a
// temporary password; secure: who must set up a second factor; in: somebody.
export type Phase = 'starting' | 'away' | 'out' | 'prove' | 'must' | 'secure' | 'in';

// owing are the server's refusals to whom something is left to do, and where they do it.
const owing: Record<string, Phase> = { second_factor_required: 'prove', password_change_required: 'must', second_factor_enrolment_required: 'secure' };

// stage says what is left to do for somebody.
const stage = (me: Me): Phase => (me.must_prove ? 'prove' : me.must_change ? 'must' : me.must_enrol ? 'secure' : 'in');

class Session {
  phase = $state<Phase>('starting');
  client = $state.raw<Client>(this.#client(''));
  me = $state.raw<Me | null>(null);
  notice = $state(''); // why somebody who was signed in is not any more, or why the server can't be asked
  link = $state(''); // the code of a one-time link that waits until somebody who is signed in has answered; empty for none
  temporary = ''; // the password that was just signed in with and must be changed

  // start asks the server who this is. The code of a one-time link (#admin=…, as the server prints it) is removed from the address first, so
  // that no history keeps it. A token in an address (#token=…, as earlier versions printed it) is removed and not used: anybody can send a
  // link with a token of theirs, and what is put then goes to them (login CSRF).
  async start(): Promise<void> {
    localStorage.removeItem(key); // earlier versions kept it there
    const [, kind, code = ''] = /^#(admin|token)=(.*)$/s.exec(location.hash) ?? [];
    if (kind) history.replaceState(null, '', location.pathname + location.search + '#/');
    if (kind === 'admin' && /^[\w-]{20,100}$/.test(code)) this.link = code;
    if (this.phase === 'starting') await this.again();
    else await this.#open();
    if (kind === 'token' && this.phase === 'out') this.notice = 'A token in an address signs nobody in. Sign in below, or use the link that the server prints when it starts.';
  }

  // again asks the server anew.
  async again(): Promise<void> {
    this.phase = 'starting';
    await this.#look(sessionStorage.getItem(key) ?? '').catch(() => {});
    await this.#open();
  }

  // #open follows a link where nobody is signed in; somebody who is signed in is asked first.
  async #open(): Promise<void> {
    if (!this.link || this.phase !== 'out') return;
    await this.follow().catch((thrown) => (this.notice = sentence(thrown)));
    this.link = '';
  }

  // follow exchanges the link for what it gives, in this tab alone; it throws a Problem.
  async follow(): Promise<void> {
    const { token } = await new Accounts(this.#client('', true)).link(this.link);
    await this.#look(token);
    this.link = '';
  }

  may(scope: Scope): boolean {
    return this.me?.scopes.includes(scope) ?? false;
  }

  // signIn throws a Problem.
  async signIn(email: string, password: string): Promise<void> {
    const client = this.#client('');
    const done = await new Accounts(client).signIn(email, password);
    this.temporary = done.must_change ? password : '';
    await this.#look('');
  }

  // prove shows the second factor; it throws a Problem.
  async prove(code: string): Promise<void> {
    await new Accounts(this.client).prove(code);
    await this.#look('');
  }

  // secured goes on once a second factor was set up.
  async secured(): Promise<void> {
    await this.#look('');
  }

  // useToken asks the server whether it takes the token before keeping it; it throws a Problem.
  async useToken(token: string): Promise<void> {
    await this.#look(token);
  }

  async changePassword(current: string, password: string): Promise<void> {
    await new Accounts(this.client).changePassword(current, password);
    this.temporary = '';
    await this.#look('');
  }

  // signOut ends the session; it throws a Problem where the server could not be told, and then nothing has changed. Whom another issuer
  // signed in goes on to sign out there, and whom a program sent, by a request, back to that.
  async signOut(request = ''): Promise<void> {
    let elsewhere = '';
    if (this.#revocable()) {
      const done = await new Accounts(this.client).signOut(request).catch((thrown: Problem) => {
        if (thrown.status !== 401) throw thrown;
        return undefined;
      });
      elsewhere = done?.redirect ?? '';
    }
    kept.drop();
    this.#leave('');
    location.hash = '#/';
    if (/^https?:\/\//.test(elsewhere)) location.assign(elsewhere);
  }

  #revocable(): boolean {
    return Boolean(this.me?.session) || (sessionStorage.getItem(key) ?? '').startsWith(linked);
  }

  // part ends the session to have somebody sign in where they are.
  async part(notice: string): Promise<void> {
    if (this.#revocable()) await new Accounts(this.client).signOut();
    kept.drop();
    this.#leave(notice);
  }

  // check looks whether this tab's person is still the one, and what they may: other tabs share the cookie.
  async check(): Promise<void> {
    if (this.phase !== 'in' && this.phase !== 'out') return;
    try {
      const now = await new Accounts(this.#client(sessionStorage.getItem(key) ?? '', true)).me();
      if (!now) {
        if (this.phase === 'in') this.#leave(ended);
      } else if (this.phase === 'out' || now.id !== this.me?.id || stage(now) !== 'in') await this.#look(sessionStorage.getItem(key) ?? '');
      else if (JSON.stringify({ ...now, session: null }) !== JSON.stringify({ ...this.me, session: null })) this.me = now;
    } catch (thrown) {
      if (this.phase === 'in' && thrown instanceof Problem && thrown.status === 401) this.#leave(ended);
    }
  }

  async #look(token: string): Promise<void> {
    const client = this.#client(token);
    try {
      const me = await new Accounts(this.#client(token, true)).me();
      if (!me) {
        this.#leave('');
        return;
      }
      if (token) sessionStorage.setItem(key, token);
      else sessionStorage.removeItem(key);
      this.client = client;
      this.me = me;
      this.notice = '';
      this.phase = stage(me);
    } catch (thrown) {
      if (thrown instanceof Problem && thrown.status === 401) {
        this.#leave('The server does not know this token. Copy it again from where the server runs.');
      } else {
        this.notice = sentence(thrown);
        this.phase = 'away';
      }
      throw thrown;
    }
  }

  #leave(notice: string) {
    sessionStorage.removeItem(key);
    this.client = this.#client('');
    this.me = null;
    this.temporary = '';
    this.notice = notice;
    this.phase = 'out';
  }

  // A quiet client's refusals are for its caller alone, and so are late ones of a client that a new sign-in replaced.
  #client(token: string, quiet = false): Client {
    const made: Client = new Client(token, (why) => {
      if (quiet || made !== this.client || !['prove', 'must', 'secure', 'in'].includes(this.phase)) return;
      const next = owing[why.code];
      if (next) this.phase = next;
      else this.#leave(ended);
    });
    return made;
  }
}

export const session = new Session();
