// Where the page is: the list (#/) or one video (#/v/<id>).

class Route {
  video = $state(''); // id, empty for the list

  start() {
    this.#read();
    addEventListener('hashchange', () => this.#read());
  }

  #read() {
    this.video = /^#\/v\/([0-9a-z]+)$/.exec(location.hash)?.[1] ?? '';
  }
}

export const route = new Route();

export function link(id: string): string {
  return `#/v/${id}`;
}
