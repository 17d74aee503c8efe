import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { route } from './state/route.svelte';
import { session } from './state/session.svelte';

session.start();
addEventListener('hashchange', () => session.start()); // the server's line pasted into an open tab
route.start();
mount(App, { target: document.getElementById('app')! });
