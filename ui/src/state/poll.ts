// Repeats a look at the server: the task says in how many milliseconds it wants the next look. Nothing runs while the
// page is hidden; coming back looks at once. A task deals with its own failures: one that rejects ends the looking.

export interface Poll {
  now: () => void; // look at once
  stop: () => void;
}

export function poll(task: () => Promise<number>): Poll {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let running = false;
  let again = false;
  let stopped = false;

  async function run() {
    clearTimeout(timer);
    if (stopped || document.hidden) return;
    if (running) {
      again = true;
      return;
    }
    running = true;
    const wait = await task();
    running = false;
    if (stopped) return;
    timer = setTimeout(run, again ? 0 : wait);
    again = false;
  }

  const shown = () => void run();
  document.addEventListener('visibilitychange', shown);
  void run();
  return {
    now: shown,
    stop() {
      stopped = true;
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    },
  };
}
