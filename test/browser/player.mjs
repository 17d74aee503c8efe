// Runs in the browser: three players behind one small face, so that one test drives them all.
//
// play(name, url, proof) resolves when the first picture can be shown. The proof is what the player sends along: { cookies: true }, { token }, or
// nothing; with ahead, hls.js, which else takes a short video whole, buffers that many seconds, and with behind it keeps so many of what was shown. window.newest is the query of a newer grant than the one in the
// url, or nothing: the player asks with it from then on. Afterwards window.player has
//   widths()    the widths of the video renditions that the player found, the smallest first
//   force(n)    plays rung n from now on, 0 the smallest, and throws away what is buffered ahead where the player can
//   errors      what the player reported

const video = document.querySelector('video');
const errors = [];

// load brings in a library that puts its name on window, as a page with a script tag does.
function load(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = source;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${source} did not load`));
    document.head.append(script);
  });
}

// renewed is an address with the newest grant in the place of the one that it has.
const renewed = (address) => (window.newest && address.includes('Key-Pair-Id=') ? `${address.split('?')[0]}?${window.newest}` : address);

// What hls.js tells of and goes on after, where nothing is wrong with what it plays.
const passing = new Set(['aborted', 'bufferStalledError', 'bufferNudgeOnStall', 'fragLoadTimeOut', 'levelLoadTimeOut', 'manifestLoadTimeOut']);

const makers = {
  async hls(url, { cookies = false, token, ahead, behind }) {
    await load('/lib/hls.js');
    const xhrSetup = (xhr, address) => {
      xhr.open('GET', renewed(address), true);
      xhr.withCredentials = cookies;
      if (token) xhr.setRequestHeader('Authorization', `Bearer ${token}`);
    };
    const hls = new window.Hls({ xhrSetup, ...(ahead && { maxBufferLength: ahead, maxMaxBufferLength: ahead }), ...(behind >= 0 && { backBufferLength: behind }) });
    hls.on('hlsError', (_, data) => {
      // A switch or a seek drops the request under way; hls.js tells of it where it comes at the wrong moment, and goes on. Of what took its time, on a
      // machine that is busy, it tells as well.
      if (!data.fatal && passing.has(data.details)) return;
      errors.push(`${data.type} ${data.details} fatal=${data.fatal} ${data.error?.message ?? ''}`);
    });
    const parsed = new Promise((resolve) => hls.once('hlsManifestParsed', resolve));
    hls.loadSource(url);
    hls.attachMedia(video);
    await parsed;
    const rungs = () => hls.levels.map((l, i) => ({ i, bits: l.bitrate, width: l.width })).sort((a, b) => a.bits - b.bits);
    return { widths: () => rungs().map((r) => r.width), force: (n) => (hls.currentLevel = rungs()[n].i) };
  },

  async shaka(url, { cookies = false, token }) {
    await load('/lib/shaka.js');
    window.shaka.polyfill.installAll();
    const player = new window.shaka.Player();
    player.addEventListener('error', (e) => errors.push(`${e.detail.code} ${e.detail.data}`));
    player.getNetworkingEngine().registerRequestFilter((_, request) => {
      request.uris = request.uris.map(renewed);
      request.allowCrossSiteCredentials = cookies;
      if (token) request.headers.Authorization = `Bearer ${token}`;
    });
    await player.attach(video);
    await player.load(url).catch((e) => {
      throw new Error(`shaka ${e.code} ${e.data}`); // its own error has no message
    });
    const rungs = () => player.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
    return {
      widths: () => rungs().map((r) => r.width),
      force(n) {
        player.configure('abr.enabled', false);
        player.selectVariantTrack(rungs()[n], true);
      },
    };
  },

  async dash(url, { cookies = false, token }) {
    await load('/lib/dash.js');
    const player = window.dashjs.MediaPlayer().create();
    player.updateSettings({ streaming: { buffer: { fastSwitchEnabled: true } } });
    player.addRequestInterceptor(async (request) => {
      request.url = renewed(request.url);
      request.credentials = cookies ? 'include' : 'omit';
      if (token) request.headers = { ...request.headers, Authorization: `Bearer ${token}` };
      return request;
    });
    player.on('error', (e) => errors.push(`${e.error?.code ?? ''} ${e.error?.message ?? e.error}`));
    const ready = new Promise((resolve) => player.on('streamInitialized', resolve));
    player.initialize(video, url, false);
    await ready;
    const rungs = () => player.getRepresentationsByType('video').toSorted((a, b) => a.bandwidth - b.bandwidth);
    return {
      widths: () => rungs().map((r) => r.width),
      force(n) {
        player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
        player.setRepresentationForTypeById('video', rungs()[n].id, true);
      },
    };
  },
};

// native is the browser's own player.
makers.native = async (url) => {
  video.src = url;
  await new Promise((resolve) => video.addEventListener('loadedmetadata', resolve, { once: true }));
  return {};
};

video.addEventListener('error', () => errors.push(`video element: ${video.error?.code} ${video.error?.message}`));

async function start(name, url, proof) {
  window.player = { errors, ...(await makers[name](url, proof)) };
  if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) {
    await new Promise((resolve) => video.addEventListener('loadeddata', resolve, { once: true }));
  }
}

// A player that never begins says why in its errors, if anywhere.
window.play = (name, url, proof = {}) => {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${name} has not begun after 2 min: ${errors.join('; ') || 'no error reported'}`)), 120_000);
  });
  return Promise.race([start(name, url, proof), late]);
};
window.loaded = true;
