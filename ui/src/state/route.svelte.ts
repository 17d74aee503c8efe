// Where the page is: the list (#/), one video (#/v/<id>), the work (#/jobs) or what went wrong (#/errors, #/errors?code=<code>).

class Route {
  video = $state(''); // id, empty elsewhere
  jobs = $state(false);
  errors = $state(false);
  code = $state(''); // of the errors on show, empty for all

  // place names the view, empty for the list.
  get place(): string {
    return this.errors ? 'errors' : this.jobs ? 'jobs' : this.video;
  }

  start() {
    this.#read();
    addEventListener('hashchange', () => this.#read());
  }

  #read() {
    this.video = /^#\/v\/([0-9a-z]+)$/.exec(location.hash)?.[1] ?? '';
    this.jobs = location.hash === '#/jobs';
    const errors = /^#\/errors(?:\?(.*))?$/.exec(location.hash);
    this.errors = errors !== null;
    this.code = new URLSearchParams(errors?.[1] ?? '').get('code') ?? '';
  }
}

export const route = new Route();

export function link(id: string): string {
  return `#/v/${id}`;
}

export function errorsLink(code: string): string {
  return code ? `#/errors?${new URLSearchParams({ code })}` : '#/errors';
}
