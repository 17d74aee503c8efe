// Where the page is, by what follows # in its address. There is no address to return to in an address: who signs in stays where they were,
// so no link can send anybody elsewhere.

const pages = {
  '/jobs': 'jobs',
  '/errors': 'errors',
  '/account': 'account',
  '/people': 'people',
  '/workspaces': 'workspaces',
  '/letters': 'letters',
  '/programs': 'programs',
  '/record': 'record',
  '/signin': 'signin',
  '/signout': 'signout',
  '/forgot': 'forgot',
  '/reset': 'reset',
} as const;

export type Name = 'list' | 'video' | 'person' | (typeof pages)[keyof typeof pages];

class Route {
  name = $state<Name>('list');
  id = $state(''); // of the video or person, empty elsewhere
  code = $state(''); // of the errors on show, empty for all
  request = $state(''); // of a program that asks somebody to sign in, as the server signed it; empty for none
  parting = $state(''); // the same of one that asks them to sign out
  reset = $state(''); // the code of a link for a new password, which is taken out of the address

  // place names the view, empty for the list.
  get place(): string {
    return this.name === 'list' ? '' : `${this.name} ${this.id}`;
  }

  // back is where somebody goes who signs in elsewhere: this view, where its address is a plain one, else the list.
  get back(): string {
    const path = location.hash.slice(1);
    return this.name !== 'signin' && /^\/(?:[A-Za-z0-9_.~-]+\/?)*$/.test(path) ? path : '/';
  }

  start() {
    this.#read();
    addEventListener('hashchange', () => this.#read());
  }

  #read() {
    const [path = '', query = ''] = location.hash.slice(1).split(/\?(.*)/s);
    const asked = new URLSearchParams(query);
    const one = /^\/(v|people)\/([0-9A-Za-z:_-]{1,80})$/.exec(path);
    this.id = one?.[2] ?? '';
    this.name = one ? (one[1] === 'v' ? 'video' : 'person') : (pages[path as keyof typeof pages] ?? 'list');
    this.code = this.name === 'errors' ? (asked.get('code') ?? '') : '';
    this.request = this.name === 'signin' ? (asked.get('request') ?? '') : '';
    this.parting = this.name === 'signout' ? (asked.get('request') ?? '') : '';
    if (this.name === 'reset' && asked.has('code')) {
      this.reset = asked.get('code') ?? '';
      history.replaceState(null, '', '#/reset');
    }
  }
}

export const route = new Route();

export function link(id: string): string {
  return `#/v/${id}`;
}

export function personLink(id: string): string {
  return `#/people/${id}`;
}

export function errorsLink(code: string): string {
  return code ? `#/errors?${new URLSearchParams({ code })}` : '#/errors';
}
