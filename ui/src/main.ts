import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { route } from './state/route.svelte';
import { session } from './state/session.svelte';

void session.start();
addEventListener('hashchange', () => void session.start()); // the server's line pasted into an open tab
document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void session.check();
});
route.start();
mount(App, { target: document.getElementById('app')! });
