// openid.mjs: openid-client goes through every flow of a provider, as any program would, and prints what it got as JSON. It reads from its input
// {issuer, web: {id, secret, redirect, logout}, spa: {id, redirect}, service: {id, secret}}; whoever asks for authorization is signed in already.
import * as client from 'openid-client';

const input = JSON.parse(await new Response(process.stdin).text());
const insecure = { execute: [client.allowInsecureRequests] };
const discover = (id, secret, auth) => client.discovery(new URL(input.issuer), id, secret, auth, insecure);
const out = {};

// signIn is the authorization code flow with PKCE; the library checks state, nonce, iss and the ID token.
async function signIn(config, redirect, scope, more = {}) {
	const verifier = client.randomPKCECodeVerifier();
	const state = client.randomState();
	const nonce = client.randomNonce();
	const url = client.buildAuthorizationUrl(config, {
		redirect_uri: redirect, scope, state, nonce, code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256', ...more,
	});
	const answer = await fetch(url, { redirect: 'manual' });
	const back = new URL(answer.headers.get('location'));
	const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true });
	return { back, tokens };
}

const web = await discover(input.web.id, input.web.secret);
out.metadata = web.serverMetadata();
const first = await signIn(web, input.web.redirect, 'openid email profile offline_access videos/read');
out.iss = first.back.searchParams.get('iss');
out.claims = first.tokens.claims();
out.scope = first.tokens.scope;
out.userinfo = await client.fetchUserInfo(web, first.tokens.access_token, out.claims.sub);
const second = await client.refreshTokenGrant(web, first.tokens.refresh_token);
out.rotated = second.refresh_token !== first.tokens.refresh_token;
out.introspected = await client.tokenIntrospection(web, second.access_token);
await client.tokenRevocation(web, second.refresh_token, { token_type_hint: 'refresh_token' });
out.revoked = await client.tokenIntrospection(web, second.access_token);
const third = await signIn(await discover(input.web.id, undefined, client.ClientSecretPost(input.web.secret)), input.web.redirect, 'openid videos/read', { max_age: '3600' });
const leave = client.buildEndSessionUrl(web, { id_token_hint: third.tokens.id_token, post_logout_redirect_uri: input.web.logout, state: 'bye' });
out.left = (await fetch(leave, { redirect: 'manual' })).headers.get('location');
out.afterwards = await client.tokenIntrospection(web, third.tokens.access_token);

const spa = await discover(input.spa.id, undefined, client.None());
const page = await signIn(spa, input.spa.redirect, 'openid offline_access videos/read');
out.spa = (await client.refreshTokenGrant(spa, page.tokens.refresh_token)).scope;

const service = await discover(input.service.id, input.service.secret);
out.service = (await client.clientCredentialsGrant(service, { scope: 'videos/read' })).access_token;
out.refused = await client.clientCredentialsGrant(service, { scope: 'users/admin' }).catch((e) => e.error);

console.log(JSON.stringify(out));
