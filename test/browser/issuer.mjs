// issuer.mjs: node-oidc-provider as an issuer that isn't ours. It prints its address, and serves beside its own routes: POST /stage/rotate (a new key
// signs, the old one is still published), POST /stage/forget (the old one isn't), POST /stage/client?redirect=…[&left=…&tell=…] (a client "house" with a secret, where people come back to after
// signing out, and where it tells of sign-outs), and GET /stage/token?sub=… (the tokens of somebody who signs in by
// authorization code, PKCE and openid-client; without sub those of a machine). It ends with its input.
import { createServer } from 'node:http';
import { exportJWK, generateKeyPair } from 'jose';
import { Provider } from 'oidc-provider';
import * as client from 'openid-client';

const audience = 'https://video.example.com';
const accounts = { jane: { roles: ['video-editors', 'others'], email: 'jane@example.com' }, joe: { roles: ['others'] } };
const houses = [];
let issuer;
let keys = [];
let callback;

async function rotate() {
	const { privateKey } = await generateKeyPair('RS256', { extractable: true });
	keys = [{ ...(await exportJWK(privateKey)), kid: `key-${Date.now()}-${keys.length}`, alg: 'RS256', use: 'sig' }, ...keys].slice(0, 2);
	serve();
}

function serve() {
	const provider = new Provider(issuer, {
		jwks: { keys },
		cookies: { keys: ['a key of the test'] },
		clients: [
			{ client_id: 'page', token_endpoint_auth_method: 'none', redirect_uris: ['https://page.example.com/cb'], grant_types: ['authorization_code'], response_types: ['code'] },
			{ client_id: 'machine', client_secret: 'a secret of the test', redirect_uris: [], grant_types: ['client_credentials'], response_types: [] },
			...houses,
		],
		scopes: ['openid', 'email', 'videos/read', 'videos/write'],
		claims: { openid: ['sub'], email: ['email'] },
		conformIdTokenClaims: false,
		fetch: (url, { dispatcher, ...options }) => fetch(url, options), // which would refuse addresses of this machine, where whom it tells of sign-outs is
		findAccount: (_, sub) => accounts[sub] && { accountId: sub, claims: () => ({ sub, email: accounts[sub].email }) },
		extraTokenClaims: (_, token) => accounts[token.accountId],
		interactions: { url: (_, interaction) => `/stage/interaction/${interaction.uid}` },
		features: {
			devInteractions: { enabled: false },
			backchannelLogout: { enabled: true },
			rpInitiatedLogout: {
				enabled: true,
				logoutSource: (ctx, form) => (ctx.body = `<!doctype html><title>The issuer</title><h1>Sign out of the issuer?</h1>${form}<button type="submit" form="op.logoutForm" name="logout" value="yes">Yes</button>`),
				postLogoutSuccessSource: (ctx) => (ctx.body = '<!doctype html><title>The issuer</title><h1>Signed out there</h1>'),
			},
			clientCredentials: { enabled: true },
			resourceIndicators: {
				enabled: true,
				defaultResource: () => audience,
				useGrantedResource: () => true,
				getResourceServerInfo: () => ({ scope: 'videos/read videos/write', audience, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: 'RS256' } } }),
			},
		},
	});
	provider.on('backchannel.error', (_, error) => console.error(error));
	const own = provider.callback();
	callback = async (req, res) => {
		if (!req.url.startsWith('/stage/interaction/')) return own(req, res);
		const { prompt, params, session } = await provider.interactionDetails(req, res);
		if (prompt.name === 'login') return provider.interactionFinished(req, res, { login: { accountId: params.login_hint ?? 'jane' } });
		const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
		grant.addOIDCScope('openid email videos/read videos/write');
		grant.addResourceScope(audience, 'videos/read videos/write');
		return provider.interactionFinished(req, res, { consent: { grantId: await grant.save() } });
	};
}

async function token(sub) {
	const insecure = { execute: [client.allowInsecureRequests] };
	if (!sub) {
		const machine = await client.discovery(new URL(issuer), 'machine', 'a secret of the test', undefined, insecure);
		return client.clientCredentialsGrant(machine, { scope: 'videos/read', resource: audience });
	}
	const page = await client.discovery(new URL(issuer), 'page', undefined, client.None(), insecure);
	const verifier = client.randomPKCECodeVerifier();
	let at = client.buildAuthorizationUrl(page, {
		redirect_uri: 'https://page.example.com/cb', scope: 'openid videos/read', resource: audience, login_hint: sub, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
	});
	const jar = new Map();
	for (let hops = 0; at.host !== 'page.example.com'; hops++) {
		if (hops > 20) throw new Error(`sent round in circles: ${at}`);
		const answer = await fetch(at, { redirect: 'manual', headers: { cookie: [...jar].map(([k, v]) => `${k}=${v}`).join('; ') } });
		for (const set of answer.headers.getSetCookie()) {
			const [, name, value] = set.match(/^([^=]+)=([^;]*)/);
			jar.set(name, value);
		}
		if (!answer.headers.get('location')) throw new Error(`${answer.status} ${await answer.text()}`);
		at = new URL(answer.headers.get('location'), at);
	}
	return client.authorizationCodeGrant(page, at, { pkceCodeVerifier: verifier });
}

const server = createServer(async (req, res) => {
	try {
		const url = new URL(req.url, issuer);
		if (url.pathname === '/stage/rotate') await rotate();
		else if (url.pathname === '/stage/client') {
			const tell = url.searchParams.get('tell');
			houses[0] = {
				client_id: 'house', client_secret: 'a secret of the house', redirect_uris: [url.searchParams.get('redirect')], post_logout_redirect_uris: url.searchParams.getAll('left'),
				...(tell && { backchannel_logout_uri: tell, backchannel_logout_session_required: true }),
			};
			serve();
		} else if (url.pathname === '/stage/forget') {
			keys = keys.slice(0, 1);
			serve();
		} else if (url.pathname === '/stage/token') return res.end(JSON.stringify(await token(url.searchParams.get('sub'))));
		else return await callback(req, res);
		res.end('{}');
	} catch (error) {
		res.statusCode = 500;
		res.end(String(error.stack));
	}
});
server.listen(0, '127.0.0.1', async () => {
	issuer = `http://127.0.0.1:${server.address().port}`;
	await rotate();
	console.log(JSON.stringify({ issuer, audience }));
});
process.stdin.resume().on('end', () => process.exit());
