// Accounts as the page uses them: who asks, users, workspaces, sessions, tokens, letters, and the record of what was done.

import type { Client, Page } from './client';

export const roles = ['admin', 'editor', 'viewer'] as const;

export type Role = (typeof roles)[number];

// What each role may, in a few words.
export const roleWords: Record<Role, string> = {
  admin: 'Everything, in every workspace, and people',
  editor: 'Puts, changes and removes videos of their workspaces',
  viewer: 'Watches what is ready in their workspaces',
};

export const scopes = ['videos/read', 'videos/write', 'uploads/write', 'images/read', 'users/admin', 'jobs/admin'] as const;

export type Scope = (typeof scopes)[number];

export const scopeWords: Record<Scope, string> = {
  'videos/read': 'See videos and their history',
  'videos/write': 'Change, encode again and delete videos',
  'uploads/write': 'Upload videos',
  'images/read': 'See pictures',
  'users/admin': 'Manage people, workspaces and programs',
  'jobs/admin': 'See and steer the work',
};

export interface User {
  id: string;
  email: string;
  name: string; // may be empty
  role: Role;
  state: 'invited' | 'active' | 'disabled';
  workspaces: string[];
  must_change: boolean;
  second_factor_since?: string; // absent where they have none
  created: string;
  signed_in?: string; // absent where they never did
}

export interface Session {
  id: string;
  current: boolean;
  created: string;
  seen: string;
  expires: string;
  address: string;
  agent: string;
}

// external reports whether somebody signs in by another issuer and has no password here, by their id.
export const external = (id: string) => id.startsWith('oidc:');

// Issuer is who else signs people in.
export interface Issuer {
  name: string;
  login: string; // an address of this server
}

// Ways are how people sign in.
export interface Ways {
  issuers: Issuer[];
  passwords: boolean; // of this server are good
}

// Setup is how the server is set up.
export interface Setup {
  mail: boolean; // letters are sent; else they wait in the outbox
  second_factor: 'optional' | 'admins' | 'everyone'; // who must have one
  passwords: boolean; // of this server are good for something; else another issuer alone signs people in
  programs: boolean; // get tokens here; else from another issuer
}

// Me is who asks.
export interface Me {
  kind: 'root' | 'person' | 'service'; // root is the admin token
  id: string;
  name: string;
  role: Role;
  workspaces: string[];
  scopes: string[];
  must_prove: boolean; // only the second factor may be shown
  must_change: boolean; // then, only the password changed
  must_enrol: boolean; // then, only a second factor set up
  user?: User;
  session?: Session; // absent for tokens
  setup: Setup;
}

// Factor is what somebody may know of their second factor.
export interface Factor {
  since?: string; // absent where they have none
  demanded: boolean; // by the server
  recovery_left: number;
}

// FactorOffer is a second factor for somebody's app.
export interface FactorOffer {
  secret: string; // base32
  uri: string; // otpauth://…
  expires: string;
}

export interface Token {
  id: string;
  name: string;
  scopes: string[];
  created: string;
  expires: string;
  used?: string; // absent where it never was
}

// LetIn is a program that somebody has let in by signing in there.
export interface LetIn {
  id: string; // its client_id
  name: string;
  scopes: string[];
  sign_ins: number;
  since: string;
  used: string; // when it last got tokens
  expires: string;
}

export interface Workspace {
  id: string;
  name: string;
  created: string;
}

export interface Party {
  id: string;
  name: string;
}

// Act is something that was done and that matters for security.
export interface Act {
  id: number;
  time: string;
  what: string;
  by?: Party;
  user?: Party;
  address: string;
  detail: Record<string, string>;
}

export interface Letter {
  id: number;
  kind: 'invitation' | 'reset' | 'forgot' | 'changed' | 'factor_set' | 'factor_end' | 'recovery';
  user: string;
  address: string;
  state: 'waiting' | 'sent' | 'refused' | 'dead' | 'void';
  tries: number;
  trouble?: { code: string; message: string };
  created: string;
  expires?: string;
  finished?: string;
  subject?: string; // these of one letter alone, while it waits on a server without mail
  text?: string;
  secret?: string;
}

export const programKinds = ['web', 'spa', 'native', 'service'] as const;

export type ProgramKind = (typeof programKinds)[number];

// Program is an OAuth client.
export interface Program {
  id: string; // its client_id
  name: string;
  kind: ProgramKind;
  redirects: string[];
  logouts: string[];
  scopes: string[];
  role?: Role; // of a service alone
  workspaces: string[];
  created: string;
  rotated?: string; // when its secret was made; absent where it has none
  secret?: string; // in the answer that made it alone
}

export type ProgramEdit = Pick<Program, 'name' | 'redirects' | 'logouts' | 'scopes'> & Partial<Pick<Program, 'role' | 'workspaces'>>;

export interface Invitation {
  email: string;
  name: string;
  role: Role;
  workspaces: string[];
}

export interface UserEdit {
  name?: string;
  role?: Role;
  workspaces?: string[];
  state?: 'active' | 'disabled';
}

const path = encodeURIComponent;
const of = (user: string) => (user ? `?user=${path(user)}` : '');

// Accounts is the part of the API that is about people. user, where it may be given, is the id of another one, for administrators.
export class Accounts {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  // me tells who asks, undefined where nobody is known.
  me(): Promise<Me | undefined> {
    return this.#client.call('GET', '/v1/session');
  }

  signIn(email: string, password: string): Promise<{ user: User; must_prove: boolean; must_change: boolean; must_enrol: boolean }> {
    return this.#client.call('POST', '/v1/session', { email, password });
  }

  // link exchanges the code of the link that the server printed for a token.
  link(code: string): Promise<{ token: string }> {
    return this.#client.call('POST', '/v1/session/link', { code });
  }

  // signOut ends the session, and returns where the browser goes on, if anywhere. request is what a program asks that by, empty for none.
  signOut(request = ''): Promise<{ redirect: string } | undefined> {
    return this.#client.call('DELETE', `/v1/session${request ? `?${new URLSearchParams({ request })}` : ''}`);
  }

  changePassword(current: string, password: string): Promise<unknown> {
    return this.#client.call('POST', '/v1/session/password', { current, password });
  }

  // prove shows the second factor after the password.
  prove(code: string): Promise<unknown> {
    return this.#client.call('POST', '/v1/session/factor', { code });
  }

  factor(): Promise<Factor> {
    return this.#client.call('GET', '/v1/factor');
  }

  offerFactor(password: string, code: string): Promise<FactorOffer> {
    return this.#client.call('POST', '/v1/factor', { password, code });
  }

  // factorImage is the QR code of what was offered, as an address that the page may show.
  factorImage(): Promise<string> {
    return this.#client.picture('/v1/factor/image');
  }

  // setFactor returns the recovery codes, which are told once.
  async setFactor(code: string): Promise<string[]> {
    return (await this.#client.call<{ recovery_codes: string[] }>('POST', '/v1/factor/confirm', { code })).recovery_codes;
  }

  async makeRecoveryCodes(password: string, code: string): Promise<string[]> {
    return (await this.#client.call<{ recovery_codes: string[] }>('POST', '/v1/factor/recovery-codes', { password, code })).recovery_codes;
  }

  removeFactor(password: string, code: string): Promise<unknown> {
    return this.#client.call('POST', '/v1/factor/remove', { password, code });
  }

  resetFactor(user: string): Promise<void> {
    return this.#client.call('DELETE', `/v1/users/${path(user)}/factor`);
  }

  forgot(email: string): Promise<{ message: string }> {
    return this.#client.call('POST', '/v1/password/forgot', { email });
  }

  reset(code: string, password: string): Promise<void> {
    return this.#client.call('POST', '/v1/password/reset', { code, password });
  }

  async sessions(user = ''): Promise<Session[]> {
    return (await this.#client.call<Page<Session>>('GET', `/v1/sessions${of(user)}`)).items ?? [];
  }

  endSession(id: string, user = ''): Promise<void> {
    return this.#client.call('DELETE', `/v1/sessions/${path(id)}${of(user)}`);
  }

  // endSessions ends all but the one that asks.
  endSessions(user = ''): Promise<void> {
    return this.#client.call('DELETE', `/v1/sessions${of(user)}`);
  }

  async tokens(user = ''): Promise<Token[]> {
    return (await this.#client.call<Page<Token>>('GET', `/v1/tokens${of(user)}`)).items ?? [];
  }

  makeToken(name: string, scopes: string[], expires: Date): Promise<Token & { token: string }> {
    return this.#client.call('POST', '/v1/tokens', { name, scopes, expires: expires.toISOString() });
  }

  revokeToken(id: string, user = ''): Promise<void> {
    return this.#client.call('DELETE', `/v1/tokens/${path(id)}${of(user)}`);
  }

  // letIn are the programs that one, or another, has let in.
  async letIn(user = ''): Promise<LetIn[]> {
    return (await this.#client.call<Page<LetIn>>('GET', `/v1/programs${of(user)}`)).items ?? [];
  }

  // endLetIn takes back what a program was given.
  endLetIn(id: string, user = ''): Promise<void> {
    return this.#client.call('DELETE', `/v1/programs/${path(id)}${of(user)}`);
  }

  users(cursor = ''): Promise<Page<User>> {
    return this.#client.call('GET', `/v1/users?${new URLSearchParams(cursor ? { cursor } : {})}`);
  }

  user(id: string): Promise<User> {
    return this.#client.call('GET', `/v1/users/${path(id)}`);
  }

  invite(who: Invitation): Promise<User> {
    return this.#client.call('POST', '/v1/users', who);
  }

  editUser(id: string, edit: UserEdit): Promise<User> {
    return this.#client.call('PATCH', `/v1/users/${path(id)}`, edit);
  }

  removeUser(id: string): Promise<void> {
    return this.#client.call('DELETE', `/v1/users/${path(id)}`);
  }

  inviteAgain(id: string): Promise<User> {
    return this.#client.call('POST', `/v1/users/${path(id)}/invite`);
  }

  resetUser(id: string): Promise<User> {
    return this.#client.call('POST', `/v1/users/${path(id)}/reset`);
  }

  async workspaces(): Promise<Workspace[]> {
    return (await this.#client.call<Page<Workspace>>('GET', '/v1/workspaces')).items ?? [];
  }

  makeWorkspace(id: string, name: string): Promise<Workspace> {
    return this.#client.call('POST', '/v1/workspaces', { id, name });
  }

  renameWorkspace(id: string, name: string): Promise<Workspace> {
    return this.#client.call('PATCH', `/v1/workspaces/${path(id)}`, { name });
  }

  removeWorkspace(id: string): Promise<void> {
    return this.#client.call('DELETE', `/v1/workspaces/${path(id)}`);
  }

  async programs(): Promise<Program[]> {
    return (await this.#client.call<Page<Program>>('GET', '/v1/clients')).items ?? [];
  }

  addProgram(program: ProgramEdit & { kind: ProgramKind }): Promise<Program> {
    return this.#client.call('POST', '/v1/clients', program);
  }

  editProgram(id: string, edit: ProgramEdit): Promise<Program> {
    return this.#client.call('PATCH', `/v1/clients/${path(id)}`, edit);
  }

  rotateSecret(id: string): Promise<Program> {
    return this.#client.call('POST', `/v1/clients/${path(id)}/secret`);
  }

  removeProgram(id: string): Promise<void> {
    return this.#client.call('DELETE', `/v1/clients/${path(id)}`);
  }

  async ways(): Promise<Ways> {
    const { items, passwords } = await this.#client.call<{ items: Issuer[]; passwords: boolean }>('GET', '/v1/session/issuers');
    // An address elsewhere is none of this server's.
    return { issuers: items.filter((i) => /^\/[a-z]/.test(i.login)), passwords };
  }

  // asked tells which program asks somebody to sign in, and for what.
  asked(request: string): Promise<{ client: string; name: string; scopes: string[] }> {
    return this.#client.call('GET', `/v1/session/authorize?${new URLSearchParams({ request })}`);
  }

  // authorize ends a program's request and returns where the browser goes on.
  authorize(request: string, deny: boolean): Promise<{ redirect: string }> {
    return this.#client.call('POST', '/v1/session/authorize', { request, deny });
  }

  acts(limit: number, user = '', cursor = ''): Promise<Page<Act>> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (user) query.set('user', user);
    if (cursor) query.set('cursor', cursor);
    return this.#client.call('GET', `/v1/audit?${query}`);
  }

  letters(limit: number, cursor = ''): Promise<Page<Letter>> {
    const query = new URLSearchParams({ limit: String(limit) });
    if (cursor) query.set('cursor', cursor);
    return this.#client.call('GET', `/v1/outbox/letters?${query}`);
  }

  // letter returns one with its text, where it may still be read; that it was read is recorded.
  letter(id: number): Promise<Letter> {
    return this.#client.call('GET', `/v1/outbox/letters/${id}`);
  }
}
