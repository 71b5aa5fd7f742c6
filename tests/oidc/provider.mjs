// A certified OpenID provider for tests, on a free port. Prints `ready <port>` and ends with its standard input.
//
// PROVIDER_CALLBACKS: JSON list of redirect URIs of all clients; PROVIDER_LOGGED_OUT: where log-out may lead.
// Beside the provider's own paths there is /control/: `rotate` (new keys, the old ones gone), `counts` (requests by path),
// `keys` (public PEM), `sign` (a token of any content, signed with the current key).
import crypto, { webcrypto } from 'node:crypto';
import http from 'node:http';

globalThis.crypto ??= webcrypto;
const { Provider } = await import('oidc-provider');

const callbacks = JSON.parse(process.env.PROVIDER_CALLBACKS ?? '[]');
const loggedOut = process.env.PROVIDER_LOGGED_OUT ? [process.env.PROVIDER_LOGGED_OUT] : [];
const SECRET = 'a-secret-of-more-than-thirty-two-bytes';
const PAGES = {
  client_secret: SECRET,
  redirect_uris: callbacks,
  post_logout_redirect_uris: loggedOut,
  grant_types: ['authorization_code', 'refresh_token'],
};

const clients = [
  { client_id: 'web', ...PAGES },
  { client_id: 'web-post', ...PAGES, token_endpoint_auth_method: 'client_secret_post' },
  { client_id: 'web-jwt', ...PAGES, token_endpoint_auth_method: 'client_secret_jwt' },
  { client_id: 'web-es', ...PAGES, id_token_signed_response_alg: 'ES256' },
  { client_id: 'web-hs', ...PAGES, id_token_signed_response_alg: 'HS256' },
  { client_id: 'public', ...PAGES, client_secret: undefined, token_endpoint_auth_method: 'none' },
  {
    client_id: 'web-key',
    ...PAGES,
    client_secret: undefined,
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: process.env.PROVIDER_CLIENT_KEY
      ? { keys: [{ ...crypto.createPublicKey(process.env.PROVIDER_CLIENT_KEY).export({ format: 'jwk' }), kid: 'own' }] }
      : { keys: [] },
  },
  // tokens of these are taken as bearer tokens: the first one's are opaque, the second one's are JWTs
  { client_id: 'opaque', client_secret: SECRET, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
  { client_id: 'jwt', client_secret: SECRET, redirect_uris: [], response_types: [], grant_types: ['client_credentials'] },
];

function pair(alg) {
  const made = {
    RS256: () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 }),
    ES256: () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: () => crypto.generateKeyPairSync('ed25519'),
  }[alg]();
  return { ...made, alg, kid: `${alg}-${crypto.randomBytes(4).toString('hex')}` };
}

const newKeys = () => Object.fromEntries(['RS256', 'ES256', 'EdDSA'].map((alg) => [alg, pair(alg)]));

const users = { alice: { email: 'alice@example.com', name: 'Alice' }, bob: { email: 'bob@example.com', name: 'Bob' } };

// Room for an answer too large for one cookie.
const wide = (name) => (process.env.PROVIDER_WIDE ? `${name} ${'w'.repeat(Number(process.env.PROVIDER_WIDE))}` : name);

function configuration(keys) {
  return {
    clients,
    jwks: { keys: Object.values(keys).map(({ privateKey, alg, kid }) => ({ ...privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' })) },
    cookies: { keys: ['provider'] },
    claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
    scopes: ['openid', 'offline_access', 'read', 'write'],
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: users[id]?.email, name: wide(users[id]?.name ?? id) }),
    }),
    issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
    // a refresh token works once, and its second use ends all tokens of the log-in
    rotateRefreshToken: true,
    ttl: {
      AccessToken: 600, AuthorizationCode: 60, ClientCredentials: 600, Grant: 3600, IdToken: 600, Interaction: 600,
      RefreshToken: 3600, Session: 3600,
    },
    enabledJWA: {
      clientAuthSigningAlgValues: ['HS256', 'RS256', 'ES256'],
      idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA', 'HS256'],
    },
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: () => true },
      rpInitiatedLogout: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_, client) => (client.clientId === 'jwt' ? 'https://api.test' : undefined),
        getResourceServerInfo: () => ({
          scope: 'read write', audience: 'https://api.test', accessTokenFormat: 'jwt', accessTokenTTL: 600,
        }),
      },
    },
  };
}

let keys = newKeys();
let handler;
const counts = {};

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

function sign({ header = {}, payload, alg = 'RS256' }) {
  const { privateKey, kid } = keys[alg];
  const input = `${encode({ alg, kid, typ: 'JWT', ...header })}.${encode(payload)}`;
  const hash = alg === 'EdDSA' ? null : 'sha256';
  const key = alg === 'ES256' ? { key: privateKey, dsaEncoding: 'ieee-p1363' } : privateKey;
  return `${input}.${crypto.sign(hash, Buffer.from(input), key).toString('base64url')}`;
}

async function control(path, request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const body = Buffer.concat(parts).toString();
  switch (path) {
    case '/control/rotate':
      keys = newKeys();
      handler = start();
      return 'rotated';
    case '/control/counts':
      return JSON.stringify(counts);
    case '/control/keys':
      return JSON.stringify(Object.fromEntries(
        Object.values(keys).map(({ alg, publicKey }) => [alg, publicKey.export({ format: 'pem', type: 'spki' })]),
      ));
    case '/control/sign':
      return sign(JSON.parse(body));
    default:
      return '';
  }
}

const server = http.createServer((request, response) => {
  const path = request.url.split('?')[0];
  if (path.startsWith('/control/')) {
    control(path, request).then((text) => response.end(text), (error) => {
      response.statusCode = 500;
      response.end(String(error));
    });
    return;
  }
  counts[path] = (counts[path] ?? 0) + 1;
  handler(request, response);
});

function start() {
  return new Provider(`http://127.0.0.1:${server.address().port}`, configuration(keys)).callback();
}

server.listen(0, '127.0.0.1', () => {
  handler = start();
  console.log(`ready ${server.address().port}`);
});
process.stdin.on('end', () => process.exit(0)).resume();
